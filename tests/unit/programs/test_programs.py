"""What the programs decide, without starting them; tests/oracle starts them as they are typed."""

from __future__ import annotations

import os
import struct
import syslog
import time
from pathlib import Path

import pytest

from services.programs import prepend
from services.programs.__main__ import PROGRAMS, main
from services.programs.getpw import find, read_accounts
from services.programs.qbiff import lines_of, qbiff, summary
from services.programs.splogger import entries


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_is_in_the_module_that_is_named(name: str) -> None:
    module = __import__(f"services.programs.{PROGRAMS[name]}", fromlist=["PROGRAMS"])
    assert callable(module.PROGRAMS[name])


def test_the_longest_user_with_a_home_of_his_own_is_found(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    uid = os.getuid() or 1
    for name in ("joni", "joni-x", "strange"):
        (tmp_path / name).mkdir()
        if os.getuid() == 0:
            os.chown(tmp_path / name, uid, uid)
    owners = {"joni": uid, "joni-x": uid, "strange": uid + 1, "gone": uid, "root": 0}
    lines = [f"{name}:*:{owner}:{owner}::{tmp_path}/{name}:/bin/sh\n" for name, owner in owners.items()]
    passwd.write_text("".join(lines) + "alias:*:900:900::/var/qmail/alias:/bin/sh\nbroken\n")
    accounts = read_accounts(passwd)
    found = {text: (account.name, dash, ext) for text in (
        b"joni", b"JONI-x-Y", b"joni-", b"strange", b"gone-a", b"root", b"-", b"-joni", b"u" * 40
    ) for account, dash, ext in [find(text, accounts)]}  # fmt: skip
    assert found == {
        b"joni": (b"joni", b"", b""),
        b"JONI-x-Y": (b"joni-x", b"-", b"Y"),
        b"joni-": (b"joni", b"-", b""),
        b"strange": (b"alias", b"-", b"strange"),
        b"gone-a": (b"alias", b"-", b"gone-a"),
        b"root": (b"alias", b"-", b"root"),
        b"-": (b"alias", b"-", b"-"),
        b"-joni": (b"alias", b"-", b"-joni"),
        b"u" * 40: (b"alias", b"-", b"u" * 40),
    }
    with pytest.raises(KeyError):
        find(b"x", {})


def test_a_date_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, wanted in (("WIB-7", b"27 May 2003 22:49:14 +0700"), ("NST+3:30", b"27 May 2003 12:19:14 -0330")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert prepend.local_date(1054050554) == wanted
    monkeypatch.undo()
    time.tzset()


def test_the_terminals_of_a_user() -> None:
    def entry(kind: int, line: bytes, user: bytes) -> bytes:
        return struct.pack("=hxxi32s4s32s308x", kind, 1, line, b"", user)

    utmp = entry(7, b"tty1", b"ari") + entry(7, b"pts/2", b"joni") + entry(8, b"tty3", b"ari") + entry(7, b"/x", b"ari")
    assert list(lines_of(b"ari", utmp + b"half")) == [b"tty1"]
    assert list(lines_of(b"joni", utmp)) == [b"pts/2"]


def test_a_line_of_the_message_and_nothing_that_a_terminal_obeys() -> None:
    assert summary(b"From: a\nSubject: \x1b[2Jtes\n\nNgetes\n") == b"    /[2Jtes//Ngetes/"
    assert len(summary(b"Subject: " + b"x" * 200 + b"\n\ny")) == 78


def test_qbiff_never_keeps_mail_from_being_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENDER", raising=False)
    assert qbiff([]) == 0


def test_syslog_entries_by_the_line_s_first_word() -> None:
    assert list(entries(b"alert: \xff\n", 5.25)) == [(syslog.LOG_ALERT, "5.250000 alert: ??")]
    assert [priority for priority, _ in entries(b"warning: x", 1)] == [syslog.LOG_WARNING]
    assert [text[:12] for _, text in entries(b"x" * 1000, 1)] == ["1.000000 xxx", "1.000000+xxx"]
    assert list(entries(b"", 1)) == []


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    [
        ("bouncesaying", [b"No thanks", b"true"], 100, "No thanks\n"),
        ("bouncesaying", [b"No thanks", b"false"], 0, ""),
        ("bouncesaying", [b"x", b"sh", b"-c", b"exit 111"], 111, "bouncesaying: fatal: temporary child error\n"),
        ("bouncesaying", [b"x", b"sh", b"-c", b"kill -9 $$"], 111, "bouncesaying: fatal: child crashed\n"),
        ("except", [b"false"], 0, ""),
        ("except", [b"/nonexistent"], 0, ""),
        ("except", [b"true"], 100, ""),
        ("forward", [b"joe"], 100, "forward: fatal: NEWSENDER not set\n"),
        ("condredirect", [b"joe", b"false"], 0, ""),
        ("preline", [b"cat"], 100, "preline: usage: preline cmd [ arg ... ]\n"),
        ("predate", [], 100, "predate: usage: predate child\n"),
        ("maildirmake", [], 100, "maildirmake: usage: maildirmake name\n"),
    ],
)
def test_exit_codes_and_words(
    name: str, arguments: list[bytes], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        ended: object = main(name, arguments)
    except SystemExit as end:
        ended = end.code
    assert ended == code
    assert capfd.readouterr().err == said


def test_a_maildir_is_made_once_and_for_its_owner_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "Maildir"
    before = os.umask(0o022)
    try:
        assert main("maildirmake", [os.fsencode(made)]) == 0
        with pytest.raises(SystemExit) as ends:
            main("maildirmake", [os.fsencode(made)])
    finally:
        os.umask(before)
    assert {(path.name, path.stat().st_mode & 0o777) for path in (made, *made.iterdir())} == {
        (name, 0o700) for name in ("Maildir", "cur", "new", "tmp")
    }
    assert ends.value.code == 111
    assert capfd.readouterr().err == f"maildirmake: fatal: unable to mkdir {made}: file already exists\n"
