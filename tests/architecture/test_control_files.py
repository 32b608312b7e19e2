"""One table of control files: qmail's own, what the code of each role reads, and the chapter's rows."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qmail.control import table as control_table
from qmail.control.table import EXTENSIONS, TABLE, TCP_SMTP, ControlFile, files_of
from services.admin.setup import config_fast
from services.admin.setup.first_start import LOCALIPS
from tests.support.control_table import CHAPTER, render_table, table_in
from tests.support.source import OURS, RIGHTS, ROOT, file_of, nodes_of, tree_of
from tests.support.source import files_of as files_of_role

# qmail-control(5), as the tutorial's chapter 5.2.2 has it.
OF_QMAIL = frozenset(
    "badmailfrom bouncefrom bouncehost concurrencylocal concurrencyremote defaultdomain defaulthost databytes "
    "doublebouncehost doublebounceto envnoathost helohost idhost localiphost locals me morercpthosts percenthack "
    "plusdomain qmqpservers queuelifetime rcpthosts smtpgreeting smtproutes timeoutconnect timeoutremote timeoutsmtpd "
    "virtualdomains".split()
)
ROWS = {name: row for name, row in vars(control_table).items() if isinstance(row, ControlFile)}


@cache
def _imported(path: Path) -> frozenset[tuple[str, str]]:
    """Module and name of each `from qmail... import name`."""
    return frozenset(
        (str(node.module), alias.name)
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "qmail"
        for alias in node.names
    )


@cache
def _used_by(module: str) -> dict[str, frozenset[tuple[str, str]]]:
    """What each function and class of a module uses: (module, name), its own and those of the library."""
    tree = tree_of(file_of(module))
    imported = {name: (of, name) for of, name in _imported(file_of(module))}
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    known = {**imported, **{name: (module, name) for name in defined}}
    return {
        name: frozenset(known[each.id] for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in known)
        for name, node in defined.items()
    }


def rows_behind(names: Iterable[tuple[str, str]]) -> set[str]:
    """The files that names of the library read: a row itself, or what a function, class or module of it comes to."""
    todo, seen = list(names), set[tuple[str, str]]()
    while todo:
        module, name = each = todo.pop()
        if each in seen:
            continue
        seen.add(each)
        if (inner := file_of(f"{module}.{name}")).exists() and inner.name != "__init__.py":
            todo += [(f"{module}.{name}", of_it) for of_it in _used_by(f"{module}.{name}")]
        elif module != control_table.__name__:
            todo += _used_by(module).get(name, ())
    return {ROWS[name].name for module, name in seen if module == control_table.__name__ and name in ROWS}


def rows_read_in(files: Iterable[Path]) -> set[str]:
    found = rows_behind(each for path in files for each in _imported(path))
    whole: set[ControlFile[Any]] = {row for row in TABLE if row.name in found}
    whole |= {row.stands_in for row in whole if row.stands_in is not None}
    # It says how qmail's files are read; whoever has a Control and no file of them, as `log` has, reads nothing by it.
    whole.discard(EXTENSIONS)
    if any(row.of_qmail for row in whole):
        whole.add(EXTENSIONS)
    return {row.name for row in whole}


ROOMS = {
    **{role: files_of_role(role) for role in OURS},
    **{
        name: sorted((ROOT / each.room.replace(".", "/")).rglob("*.py"))
        for name, each in RIGHTS.commands.items()
    },
}  # fmt: skip


# They look at every file of the table, and take none.
INSPECTORS = {
    ROOT / "services" / "admin" / "commands" / name for name in ("check.py", "check_control.py", "showctl.py")
}


@pytest.mark.parametrize("role", ROOMS)
def test_a_role_reads_the_files_that_the_table_says_and_no_others(role: str) -> None:
    read = rows_read_in(set(ROOMS[role]) - INSPECTORS)
    assert read == {file.name for file in files_of(role)}


def test_every_row_is_read_by_somebody_that_there_is() -> None:
    assert {use.role for row in TABLE for use in row.uses} <= set(ROOMS)


def test_the_table_has_what_qmail_has() -> None:
    assert {row.name for row in TABLE if row.of_qmail} == OF_QMAIL


def test_what_the_first_start_makes_is_in_the_table() -> None:
    made = {*config_fast.render_control("mail.xeris.com", 1), LOCALIPS, TCP_SMTP.name}
    assert made <= {row.name for row in TABLE}


def test_the_chapter_s_table_is_this_one() -> None:
    hint = "python -m tests.support.control_table writes it"
    assert table_in(CHAPTER.read_text(encoding="utf-8")) == render_table(), hint
