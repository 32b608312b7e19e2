"""Every control file that the code reads is qmail's own, in the tutorial's list, or described in chapter 5."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.source import ROOT

# qmail-control(5), as the tutorial's chapter 5.2.2 has it.
OF_QMAIL = frozenset(
    "badmailfrom bouncefrom bouncehost concurrencylocal concurrencyremote defaultdomain defaulthost databytes "
    "doublebouncehost doublebounceto envnoathost helohost idhost localiphost locals me morercpthosts percenthack "
    "plusdomain qmqpservers queuelifetime rcpthosts smtpgreeting smtproutes timeoutconnect timeoutremote timeoutsmtpd "
    "virtualdomains".split()
)
NOT_THERE_YET = {"qmqpservers"}
READERS = {"content", "line", "line_or_me", "lines", "number"}
ROW = re.compile(r"^\| (`[a-z0-9.]+`(?:, `[a-z0-9.]+`)*) \|", re.MULTILINE)


def named_in(call: ast.Call) -> str | None:
    """The control file that a call reads: `control.line("me")`, or a function that is given `control` and a name."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in READERS and call.args:
        whose, name = ast.unparse(call.func.value).lower(), call.args[0]
        if re.search(r"control(\(.*\))?$|^self$", whose) and isinstance(name, ast.Constant):
            return str(name.value)
    for control, name in zip(call.args, call.args[1:], strict=False):
        if isinstance(control, ast.Name) and control.id == "control" and isinstance(name, ast.Constant):
            return name.value if isinstance(name.value, str) else None
    return None


def read_files() -> Iterator[str]:
    for top in ("qmail", "services"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and (name := named_in(node)) is not None:
                    yield name


READ = frozenset(read_files())
CHAPTER = (ROOT / "docs" / "5-installation.md").read_text(encoding="utf-8")


def described() -> set[str]:
    """The files of the chapter's last table."""
    rows = ROW.findall(CHAPTER.partition("## 5.2.2")[2])
    return {name for row in rows for name in re.findall(r"`(.*?)`", row)}


def test_what_qmail_has_is_read() -> None:
    assert OF_QMAIL - READ == NOT_THERE_YET
    assert all(f"`{name}`" in CHAPTER for name in NOT_THERE_YET)


def test_what_qmail_has_not_is_described() -> None:
    # tcp.smtp is no file of qmail-control(5), and no Control reads it.
    assert described() == (READ - OF_QMAIL) | {"tcp.smtp"}


@pytest.mark.parametrize("name", ["me", "authmodulelist", "nologin", "idhost", "notlshosts", "queuebytes"])
def test_the_code_s_ways_to_read_are_all_seen(name: str) -> None:
    assert name in READ
