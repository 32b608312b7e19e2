"""Every subject of the bus has one room, which has both its ends; nobody else spells it.

A room is a module with SUBJECT or SUBJECTS. What streams keep is named by qmail.bus.subjects alone.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from services.admin.bus.streams import read_definitions
from tests.support.source import RIGHTS, ROOT, nodes_of

PRODUCT = [path for top in ("qmail", "services", "supervise") for path in sorted((ROOT / top).rglob("*.py"))]
RECORD_NAMES = ROOT / "qmail/bus/subjects.py"
DECLARED = re.compile(r"^SUBJECTS?: Final", re.MULTILINE)
STORED = tuple(pattern for each in read_definitions()["stream"].values() for pattern in each["subjects"])


def subjects_of(path: Path) -> tuple[str, ...]:
    """The subjects that a module says are its own."""
    if not DECLARED.search(path.read_text(encoding="utf-8")):
        return ()
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return tuple(module.SUBJECTS) if hasattr(module, "SUBJECTS") else (module.SUBJECT,)


ROOMS = {path: subjects for path in PRODUCT if (subjects := subjects_of(path))}
SPOKEN = tuple(subject for subjects in ROOMS.values() for subject in subjects)


FIRST_WORDS = sorted({pattern.split(".")[0] for pattern in (*SPOKEN, *STORED) if "." in pattern})
BEGINS = re.compile(rf"(?:{'|'.join(FIRST_WORDS)})\.[a-z0-9*>.-]*")


def fits(pattern: str, subject: str) -> bool:
    """Whether a subject, which may have wildcards itself, has any in common with a pattern."""
    mine, its = pattern.split("."), subject.split(".")
    for one, other in zip(mine, its, strict=False):
        if ">" in (one, other):
            return True
        if one != other and "*" not in (one, other):
            return False
    return len(mine) == len(its)


def rights_of_the_roles() -> set[str]:
    """Every subject of RIGHTS.toml but the server's own, and admin's, who may all."""
    words = {subject.split(" ")[0] for role in RIGHTS.bus_users for subject in (*role.publish, *role.subscribe)}
    return {word for word in words if not word.startswith("$JS.") and word != ">"}


@pytest.mark.parametrize("subject", sorted(rights_of_the_roles()))
def test_a_subject_that_a_role_may_use_has_its_room(subject: str) -> None:
    rooms = [path for path, subjects in ROOMS.items() if any(fits(pattern, subject) for pattern in subjects)]
    stored = any(fits(pattern, subject) for pattern in STORED)
    assert len(rooms) == 1 or (not rooms and stored), f"{subject}: {rooms}, stored: {stored}"


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_s_subjects_are_used_by_a_role(room: Path) -> None:
    for pattern in ROOMS[room]:
        assert any(fits(pattern, subject) for subject in rights_of_the_roles()), pattern


def test_no_subject_has_two_rooms() -> None:
    assert [subject for subject, count in Counter(SPOKEN).items() if count > 1] == []


def spelled(path: Path) -> list[str]:
    """What of a module is a subject, or the beginning of one."""
    formatted = [node for node in nodes_of(path) if isinstance(node, ast.JoinedStr)]
    parts = {part for node in formatted for part in node.values}
    plain = [node for node in nodes_of(path) if isinstance(node, ast.Constant) and node not in parts]
    return [
        *(ast.unparse(node) for node in formatted if BEGINS.fullmatch(str(getattr(node.values[0], "value", "")))),
        *(node.value for node in plain if isinstance(node.value, str) and is_subject(node.value)),
    ]


def is_subject(text: str) -> bool:
    """Whether a string is a subject of a room, or a pattern or a beginning that only a subject has."""
    if BEGINS.fullmatch(text) is None:
        return False
    return text.endswith((".*", ".*.0", ".>", ".")) or any(fits(pattern, text) for pattern in SPOKEN)


@pytest.mark.parametrize(
    "path",
    [path for path in PRODUCT if path not in ROOMS and path != RECORD_NAMES],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_nobody_else_spells_a_subject(path: Path) -> None:
    assert spelled(path) == []


def test_a_subject_spelled_by_hand_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text('a = f"job.{b}", "ask.rcpt", f"body.{e}.*", "envelope.*", "in.eml", "event.log."\n')
    assert spelled(file) == ["f'job.{b}'", "f'body.{e}.*'", "ask.rcpt", "envelope.*", "event.log."]
