"""What README.md and docs/ say to type is typed, in order, into one fresh deployment, and prints what they say."""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.admin.commands.qmailctl import COMMANDS
from supervise.settings import DEFAULT_DIRECTORY, PORTS
from tests.support.documents import blocks, broken_links, documents, first_missing, follow, steps, type_in
from tests.support.make_run import MakeRun
from tests.support.needs import need
from tests.support.source import ROOT

PAGES = documents()
BLOCKS = [block for path in PAGES for block in blocks(path)]
README = PAGES[0].read_text(encoding="utf-8")
# What qmailctl does by itself, and the engine does in the other way to start.
BY_SCRIPT = {"start", "stop", "restart", "logs"}


@pytest.fixture(scope="module")
def run() -> Iterator[MakeRun]:
    """Below a directory that every role's uid may enter; what is typed needs curl."""
    need("curl")
    directory = Path(tempfile.mkdtemp(prefix="qmail-documents-"))
    directory.chmod(0o755)
    deployment = MakeRun(directory / DEFAULT_DIRECTORY)
    try:
        deployment.start()
        deployment.drain()
        yield deployment
    finally:
        deployment.stop()
        shutil.rmtree(directory)


def test_the_commands_print_what_the_documents_say(run: MakeRun) -> None:
    todo = steps(BLOCKS)
    assert len(todo) > 20 and sum(bool(step.expected) for step in todo) > 15
    environ = {**run.environ, "HOME": str(run.directory.parent)}
    for step in todo:
        follow(step, lambda text: type_in(text, environ))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_make_and_qmailctl_are_named_as_they_are() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        code = [*(block.text for block in blocks(path)), *re.findall(r"`([^`\n]+)`", text)]
        for piece in code:
            named = re.findall(r"(?:^|[;&|$]\s*|^\w+=\S+ )make ([a-z]+)\b", piece, re.MULTILINE)
            assert set(named) <= targets, f"{path.name}: make {set(named) - targets}"
            commands = set(re.findall(r"\./qmailctl ([a-z]+)\b", piece))
            assert commands <= {*COMMANDS, *BY_SCRIPT}, f"{path.name}: qmailctl {commands - COMMANDS.keys()}"


@pytest.mark.parametrize("name", ["README.md", "docs/6-running.md"])
def test_the_settings_for_make_run_are_its_defaults(name: str) -> None:
    (said,) = re.findall(r"export (QMAIL_DIR=.*?)`?$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    found = dict(pair.split("=") for pair in said.split())
    expected = {"QMAIL_DIR": DEFAULT_DIRECTORY, **{port: str(number) for port, number in PORTS.items()}}
    assert found.items() <= expected.items()
    assert {"SMTP_PORT", "POP3_PORT", "IMAP_PORT"} <= found.keys()


def test_the_ports_that_must_be_free_are_those_that_are_published() -> None:
    # "${SMTP_PUBLISH:-${ADDRESS:-127.0.0.1}:25}:25", and of dns's the file that is taken without a setting.
    files = [ROOT / "compose.yaml", ROOT / "services" / "dns" / "published.yaml"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    published = re.findall(r':(\d+)\}:\d+(?:/\w+)?"$', text, re.MULTILINE)
    (said,) = re.findall(r"the ports ([0-9 ]+) free", README)
    assert said == " ".join(sorted(set(published), key=int))


def test_the_table_of_rights_is_that_of_rights_toml() -> None:
    """Networks, and the volumes: `homes` is home, `password hashes` is auth, a role's own password is not mentioned."""
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| ([0-9 ,-]+) \| ([a-z, ]+) \| ([^|]+) \|", README, re.MULTILINE)
    rights = tomllib.loads((ROOT / "RIGHTS.toml").read_text(encoding="utf-8"))["role"]
    told = {name: (networks, volumes) for names, _, networks, volumes in rows for name in names.split(", ")}
    # bounce and stat are users of the bus in another role's container.
    assert set(told) == set(rights) - {"bounce", "stat"}
    for name, (networks, volumes) in told.items():
        assert set(networks.split(", ")) == set(rights[name]["networks"]), name
        if name in ("admin", "bus", "dns"):
            continue
        said = volumes.replace("homes", "home").replace("password hashes", "auth")
        for volume, access in rights[name]["volumes"].items():
            if volume.startswith("credentials") or volume == "imapcache":
                continue
            word = "write" if access == "rw" else "read"
            part = next((part for part in said.split("; ") if re.search(rf"\b{volume}\b.*: ", part)), "")
            assert re.search(rf": {word}\b", part), f"{name}: {volume}: {word} is not in {volumes!r}"


def test_a_line_that_is_missing_or_out_of_order_is_found() -> None:
    assert first_missing(("a <number>", "<id@host>"), "a 12\n<id@host>\n") is None
    assert first_missing(("b", "a"), "a\nb\n") == "a"
    assert first_missing(("250 ok <time> qp <number>",), "250 ok\n") == "250 ok <time> qp <number>"
    assert first_missing(("<a@b>:",), "<c@d>:\n") == "<a@b>:"
