"""Files below control/ that nobody reads, and what they may be meant for."""

from __future__ import annotations

from pathlib import Path

from qmail.control.names import unread
from qmail.control.table import TABLE
from qmail.log.notices import Notices
from services.queue.run.unread import UnreadFiles


def test_what_is_read_and_what_editors_leave_is_not_spoken_of() -> None:
    assert unread([*(file.name for file in TABLE), ".made", "locals~", "#me#", "rcpthosts.bak"]) == {}


def test_a_name_of_patches_and_a_slip_of_the_pen_have_their_meaning() -> None:
    found = unread(["badmailto", "virtualdomain", "databyte", "zzz"])
    assert found["badmailto"].endswith("recipients are refused by badrcptto")
    assert found["virtualdomain"] == "control/virtualdomain is never read; did you mean virtualdomains?"
    assert found["databyte"].endswith("did you mean databytes?")
    assert found["zzz"] == "control/zzz is never read; no program of ours has such a file"


def test_the_queue_tells_once_and_says_when_it_is_gone(tmp_path: Path) -> None:
    lines: list[str] = []
    files = UnreadFiles(tmp_path, Notices(lines.append))
    (tmp_path / "badmailto").write_text("a@b\n")
    files.tell()
    files.tell()
    assert [line.split(";")[0] for line in lines] == ["alert: control/badmailto is never read"]
    (tmp_path / "badmailto").unlink()
    files.tell()
    assert [line.split(";")[0] for line in lines[1:]] == ["mended: control/badmailto is never read"]
