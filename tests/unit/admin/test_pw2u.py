"""qmail-pw2u: recorded from qmail 1.03, and its files as qmail-pw2u(8) describes them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from services.admin.commands import pw2u

ALIAS = "alias:x:1003:1003::/var/qmail/alias:/bin/true\n"
PASSWD = (
    f"root:x:0:0::/root:/bin/sh\n{ALIAS}ari:x:2001:2001::/home/ari:/bin/sh\njoni:x:2002:2002::/home/joni:/bin/sh\n"
    "Upper:x:2003:2003::/home/Upper:/bin/sh\nnohome:x:2004:2004::/home/nohome:/bin/sh\nbad:x:2005\n"
    "dot.ted:x:2006:2006::/home/ari:/bin/sh\nwith-dash:x:2007:2007::/home/joni:/bin/sh\n"
)
OWNERS = {"/var/qmail/alias": 1003, "/home/ari": 2001, "/home/joni": 2002, "/home/Upper": 2003}


@pytest.fixture(autouse=True)
def homes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pw2u, "_home_owner", OWNERS.get)


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, *options: str, passwd: str = PASSWD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(passwd))
    return pw2u.qmail_pw2u(options, directory)


def lines(name: str, uid: int, home: str, dash: str = "-") -> str:
    return f"={name}:{name}:{uid}:{uid}:{home}:::\n" + (
        f"+{name}{dash}:{name}:{uid}:{uid}:{home}:-::\n" if dash else ""
    )


def people(dash: str = "-") -> str:
    alias = "+:alias:1003:1003:/var/qmail/alias:-::\n" + lines("alias", 1003, "/var/qmail/alias", dash)
    return alias + lines("ari", 2001, "/home/ari", dash) + lines("joni", 2002, "/home/joni", dash)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), people()),
        (("-o",), people()),
        (("-U",), people()),
        (("-c-",), people()),
        (("-c+",), people("+")),
        (("-oC",), people("")),
        (("-ou",), people() + lines("Upper", 2003, "/home/Upper")),
    ],
)
def test_as_recorded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    expected: str,
) -> None:
    assert run(tmp_path, monkeypatch, *options) == 0
    assert capsys.readouterr() == (f"{expected}.\n", "")


@pytest.mark.parametrize(
    ("options", "passwd", "code", "said"),
    [
        (("-O",), PASSWD, 100, "qmail-pw2u: illegal option -- O\n"),
        (("-h",), PASSWD, 111, "qmail-pw2u: fatal: unable to stat /home/nohome\n"),
        ((), "", 111, "qmail-pw2u: fatal: unable to find alias user\n"),
    ],
)
def test_what_stops_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    passwd: str,
    code: int,
    said: str,
) -> None:
    assert run(tmp_path, monkeypatch, *options, passwd=passwd) == code
    assert capsys.readouterr() == ("", said)


def test_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "include").write_text("ari\njoni\nnosuch\n")
    (tmp_path / "exclude").write_text("joni\n")
    (tmp_path / "mailnames").write_text("ari:ariyanto:neonerdy\n")
    (tmp_path / "subusers").write_text("info:ari:inf:\nnobody:joni:x:\n")
    (tmp_path / "append").write_text("+list-:ari:2001:2001:/home/ari:-:list-:\n")
    assert run(tmp_path, monkeypatch, "-H") == 0
    who = "ari:2001:2001:/home/ari"
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"=ariyanto:{who}:::",
        f"+ariyanto-:{who}:-::",
        f"=neonerdy:{who}:::",
        f"+neonerdy-:{who}:-::",
        f"=info:{who}:-:inf:",
        f"+info-:{who}:-:inf-:",
        "+list-:ari:2001:2001:/home/ari:-:list-:",
        ".",
    ]


def test_a_home_is_looked_at_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert pw2u._home_owner(str(tmp_path)) == os.getuid() and pw2u._home_owner(str(tmp_path / "none")) is None
