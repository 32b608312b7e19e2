"""A module whose docstring says `Pure.` computes, and nothing else: it waits for nothing and reads no clock.

So does each module of a package whose `__init__` says so. What a pure module imports is pure as well; imports for
types alone do not count, nor do classes that hold names alone: errors, and the members of an enum.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.source import ROOT, file_of, tree_of

DECLARED = re.compile(r"\bPure\b")
# Of the standard library: what computes from its arguments. Whole modules, or the names of one that may be used.
COMPUTES: dict[str, frozenset[str] | None] = dict.fromkeys(
    (
        "__future__", "abc", "array", "base64", "binascii", "bisect", "calendar", "codecs", "collections", "copy",
        "dataclasses", "difflib", "email", "encodings", "enum", "errno", "functools", "hashlib", "heapq", "hmac",
        "fnmatch", "html", "ipaddress", "itertools", "json", "math", "operator", "quopri", "re", "shlex", "stat",
        "string", "struct", "textwrap", "types", "typing", "unicodedata", "weakref", "zlib",
    )
)  # fmt: skip
COMPUTES |= {
    "contextlib": frozenset({"suppress"}),
    "datetime": frozenset({"UTC", "date", "datetime", "timedelta", "timezone"}),
    # The tables of this Python, read once.
    "pkgutil": frozenset({"iter_modules"}),
    # Whose state the caller gives.
    "random": frozenset({"Random"}),
    "time": frozenset({"gmtime", "localtime", "strftime", "struct_time"}),
}
READS_OR_WRITES = {"open", "print", "input", "datetime.now", "date.today", "datetime.today", "datetime.utcnow"}
FILES = sorted(path for top in ("qmail", "services") for path in (ROOT / top).rglob("*.py"))
# Where protocols are decided, whoever writes there next. The commands of services/inject print their replies.
PROTOCOL_NAMES = {"grammar.py", "transaction.py", "session.py", "replies.py"}
PROTOCOL_DIRECTORIES = {"grammar", "message", "search"}
PROTOCOL_FILES = [
    path
    for path in FILES
    if (ROOT / "services") in path.parents
    and (path.name in PROTOCOL_NAMES or PROTOCOL_DIRECTORIES & set(path.relative_to(ROOT).parts[:-1]))
    and (ROOT / "services" / "inject") not in path.parents
]


@cache
def says_pure(path: Path) -> bool:
    return bool(DECLARED.search(ast.get_docstring(tree_of(path)) or ""))


@cache
def is_pure(path: Path) -> bool:
    """By its own word or by that of a package it lies in."""
    return says_pure(path) or any(
        says_pure(above / "__init__.py") for above in path.parents if (above / "__init__.py").exists()
    )


@cache
def classes_without_code(path: Path) -> frozenset[str]:
    """The classes of a module whose bodies are docstrings and plain values."""
    classes = [node for node in tree_of(path).body if isinstance(node, ast.ClassDef)]
    return frozenset(each.name for each in classes if all(map(is_plain, each.body)))


def is_plain(node: ast.stmt) -> bool:
    """Whether a statement of a class does nothing but name a constant."""
    return isinstance(node, ast.Pass | ast.Expr | ast.Assign) and isinstance(
        getattr(node, "value", ast.Constant(None)), ast.Constant
    )


def breaches(path: Path) -> list[str]:
    """Every line that does what a pure module does not."""
    return [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in Breaches().of(tree_of(path))]


class Breaches(ast.NodeVisitor):
    """Walks a module, but for what is there for its types alone."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def of(self, tree: ast.Module) -> list[tuple[int, str]]:
        self.visit(tree)
        return self._found

    def _note(self, node: ast.stmt | ast.expr, what: str) -> None:
        self._found.append((node.lineno, what))

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = str(node.module)
        for alias in node.names:
            within = f"{module}.{alias.name}"
            if file_of(within).exists():
                self._import(node, within)
            else:
                self._import(node, module, alias.name)

    def _import(self, node: ast.stmt, module: str, name: str | None = None) -> None:
        top = module.split(".")[0]
        if top in ("qmail", "services"):
            if not is_pure(file_of(module)) and name not in classes_without_code(file_of(module)):
                self._note(node, f"{module} does not say that it is pure")
        elif top not in COMPUTES:
            self._note(node, f"{module} is not known to do nothing but compute")
        elif name is not None:
            self._use(node, top, name)

    def _use(self, node: ast.stmt | ast.expr, module: str, name: str) -> None:
        allowed = COMPUTES[module]
        if allowed is not None and name not in allowed:
            self._note(node, f"{module}.{name} looks at the world")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in COMPUTES:
            self._use(node, node.value.id, node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if (called := ast.unparse(node.func)) in READS_OR_WRITES:
            self._note(node, f"{called}()")
        self.generic_visit(node)

    def _waits(self, node: ast.stmt | ast.expr) -> None:
        self._note(node, "waits")
        self.generic_visit(node)

    visit_Await = visit_AsyncFunctionDef = visit_AsyncFor = visit_AsyncWith = _waits


def test_protocols_are_decided_in_pure_modules() -> None:
    assert {"smtpd", "pop3", "imap"} <= {path.relative_to(ROOT).parts[1] for path in PROTOCOL_FILES}
    assert [str(path.relative_to(ROOT)) for path in PROTOCOL_FILES if not is_pure(path)] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if is_pure(path)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_says_that_it_is_pure_is_pure(path: Path) -> None:
    assert breaches(path) == []


@pytest.mark.parametrize(
    "line",
    [
        "await asyncio.sleep(1)",
        "socket.create_connection(('h', 25))",
        "open('x')",
        "import asyncio",
        "from os import environ",
        "from qmail.bus import jetstream",
        "from qmail.control.files import Control",
        "import time\ntime.monotonic()",
        "from time import time",
        "from datetime import datetime\ndatetime.now()",
        "import random\nrandom.random()",
        "async def wait(): pass",
    ],
)
def test_a_planted_line_is_seen(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.architecture.test_purity.ROOT", tmp_path)
    planted = tmp_path / "planted.py"
    if line.startswith(("await", "socket")):
        line = f"import asyncio, socket\nasync def planted():\n    {line}"
    planted.write_text(f'"""Pure."""\n{line}\n')
    assert breaches(planted)


def test_a_class_that_holds_names_alone_may_come_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.architecture.test_purity.ROOT", tmp_path)
    planted = tmp_path / "planted.py"
    planted.write_text('"""Pure."""\nfrom qmail.bus.ports import BusDown\nfrom qmail.log.notices import Refused\n')
    assert breaches(planted) == []


@pytest.mark.parametrize("module", ["services.smtpd.session", "services.smtpd.table", "services.queue.decide"])
def test_a_room_that_decides_gives_its_word(module: str) -> None:
    assert is_pure(file_of(module))
