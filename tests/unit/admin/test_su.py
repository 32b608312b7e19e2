"""`qmailctl su` has su's arguments, and its shell is where the account's files are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.admin.accounts.su import BadArguments, Order, parse_order, without_python
from tests.support.source import ROOT


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        ([], Order(name=None, argv=("/bin/sh",))),
        (["joni"], Order(name="joni", argv=("/bin/sh",))),
        (["-c", "ls -l"], Order(name=None, argv=("/bin/sh", "-c", "ls -l"))),
        (["joni", "-c", "ls"], Order(name="joni", argv=("/bin/sh", "-c", "ls"))),
    ],
)
def test_the_arguments_are_su_s(arguments: list[str], order: Order) -> None:
    assert parse_order(arguments) == order


@pytest.mark.parametrize("arguments", [["-c"], ["-x"], ["joni", "ls"], ["joni", "-c", "ls", "-l"], ["-c", "a", "b"]])
def test_anything_else_is_refused(arguments: list[str]) -> None:
    with pytest.raises(BadArguments):
        parse_order(arguments)


def shell(home: Path, per_user: bool, command: str) -> list[str]:
    """The lines that an account's shell prints; a process of its own, because it is replaced."""
    program = (
        "import os, sys; from pathlib import Path; from services.admin.accounts.assign import User; "
        "from services.admin.accounts.su import become; "
        f"become(User(name='joni', uid=2002, home=Path(sys.argv[1])), os.environ, ('/bin/sh', '-c', sys.argv[2]), "
        f"per_user={per_user})"
    )
    argv = [sys.executable, "-c", program, str(home), command]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()


def test_the_shell_is_in_the_home_and_its_files_are_the_account_s_alone(tmp_path: Path) -> None:
    found = shell(tmp_path, False, 'pwd; echo "$HOME $USER $LOGNAME"; : >.qmail; stat -c %a .qmail; id -u')
    assert found == [str(tmp_path), f"{tmp_path} joni joni", "600", str(os.geteuid())]


@pytest.mark.root(reason="only root gives out identities")
def test_with_a_uid_per_user_nothing_of_root_is_left() -> None:
    seen = shell(Path("/"), True, "id -u; id -g; id -G; grep -E '^(CapEff|CapPrm):' /proc/self/status")
    assert [line.split()[-1] for line in seen] == ["2002", "2002", "2002", "0" * 16, "0" * 16]


def test_somebody_s_own_python_is_not_told_of_ours() -> None:
    assert without_python({"PYTHONPATH": "/opt/qmail", "PYTHONSAFEPATH": "1", "TERM": "vt100"}) == {"TERM": "vt100"}
