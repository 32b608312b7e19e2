"""The control directory: when files are read again, and what a bad one does to a running role."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.files import MAX_CONTROL_BYTES, Control, ControlError
from qmail.control.kinds import UNUSABLE_ROUTE, Presence
from qmail.control.table import (
    CONCURRENCYPOP3PERIP,
    CONCURRENCYSMTPPERIP,
    DATABYTES,
    HELOHOST,
    LOCALS,
    ME,
    RCPTHOSTS,
    SMTPROUTES,
    TABLE,
    TIMEOUTSMTPD,
    Taken,
    files_of,
)
from qmail.log.notices import Notices


class Said(Notices):
    """Keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def control(tmp_path: Path, said: Said) -> Control:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    return Control(tmp_path, said)


def test_a_bad_file_leaves_the_old_value_and_one_alert_until_it_is_mended(
    control: Control, said: Said, tmp_path: Path
) -> None:
    file = tmp_path / "databytes"
    file.write_text("1000\n")
    assert control.get(DATABYTES) == 1000
    file.write_text("10M\n")
    assert [control.get(DATABYTES) for _ in range(3)] == [1000] * 3
    alert = f"{file}:1: expected a number of bytes, found '10M'; what was read before stays in force"
    assert said.lines == [f"alert: {alert}"]
    assert [each.key for each in said.standing] == ["control/databytes"]
    file.write_text("2000\n")
    assert control.get(DATABYTES) == 2000
    assert said.lines[1:] == [f"mended: {alert}"] and not said.standing


def test_a_bad_file_that_was_not_there_before_leaves_the_default_and_its_removal_mends_it(
    control: Control, said: Said, tmp_path: Path
) -> None:
    assert control.get(DATABYTES) == DATABYTES.default
    (tmp_path / "databytes").write_text("much\n")
    assert control.get(DATABYTES) == DATABYTES.default and len(said.standing) == 1
    (tmp_path / "databytes").unlink()
    assert control.get(DATABYTES) == DATABYTES.default and not said.standing


def test_a_file_that_is_bad_from_the_first_is_refused_and_so_is_the_start(control: Control, tmp_path: Path) -> None:
    (tmp_path / "databytes").write_text("10M\n")
    (tmp_path / "rcpthosts").write_bytes(b"xeris.com\n\xef\xbb\xbfother.org\n")
    for _ in range(2):
        with pytest.raises(ControlError, match="databytes:1: expected a number of bytes, found '10M'"):
            control.get(DATABYTES)
    with pytest.raises(ControlError) as caught:
        control.check("smtpd")
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/databytes:1: expected a number of bytes, found '10M'",
        f"{tmp_path}/rcpthosts:2: expected one domain, or .domain, found a byte order mark before it",
    ]
    control.check("auth")


def test_what_a_role_reads_has_an_old_value_from_its_start(control: Control, said: Said, tmp_path: Path) -> None:
    control.check("queue")
    (tmp_path / "locals").write_text("a.org b.org\n")
    assert control.get(LOCALS) is None and len(said.standing) == 1
    other = Control(tmp_path, said)
    other.remember("queue")
    with pytest.raises(ControlError, match="locals:1"):
        other.get(LOCALS)


def test_an_unreadable_file_is_an_error_until_it_can_be_read(control: Control, said: Said, tmp_path: Path) -> None:
    file = tmp_path / "rcpthosts"
    file.mkdir()
    with pytest.raises(ControlError, match="rcpthosts: Is a directory; expected a readable file"):
        control.get(RCPTHOSTS)
    assert len(said.standing) == 1
    file.rmdir()
    assert control.get(RCPTHOSTS) is None and not said.standing


def test_without_me_there_is_no_name(control: Control, said: Said, tmp_path: Path) -> None:
    assert control.get(HELOHOST) == b"mail.xeris.com"
    (tmp_path / "me").unlink()
    with pytest.raises(ControlError, match=r"me: missing; expected this host's name, as in mail.xeris.com"):
        control.get(HELOHOST)
    assert control.own(ME) is None and len(said.standing) == 1
    (tmp_path / "me").write_text("other.xeris.com\n")
    assert control.get(HELOHOST) == b"other.xeris.com" and not said.standing


def test_the_former_name_counts_for_whichever_of_the_new_ones_is_missing(control: Control, tmp_path: Path) -> None:
    assert (control.get(CONCURRENCYSMTPPERIP), control.get(CONCURRENCYPOP3PERIP)) == (None, 100)
    (tmp_path / "concurrencyperip").write_text("7\n")
    assert (control.get(CONCURRENCYSMTPPERIP), control.get(CONCURRENCYPOP3PERIP)) == (7, 7)
    (tmp_path / "concurrencypop3perip").write_text("30\n")
    assert (control.get(CONCURRENCYSMTPPERIP), control.get(CONCURRENCYPOP3PERIP)) == (7, 30)


def test_extensions_change_how_the_same_file_is_read(control: Control, tmp_path: Path) -> None:
    (tmp_path / "locals").write_bytes(b"xeris.com\r\n")
    assert control.get(LOCALS) == frozenset({b"xeris.com"})
    (tmp_path / "extensions").write_text("none\n")
    assert control.get(LOCALS) == frozenset({b"xeris.com\r"})
    assert control.get(TIMEOUTSMTPD) == 1200
    (tmp_path / "extensions").unlink()
    assert control.get(LOCALS) == frozenset({b"xeris.com"})


def test_a_file_beyond_the_bound_is_refused(control: Control, tmp_path: Path) -> None:
    with (tmp_path / "locals").open("wb") as file:
        file.truncate(MAX_CONTROL_BYTES + 1)
    with pytest.raises(ControlError, match=f"locals: expected at most {MAX_CONTROL_BYTES} bytes, found more"):
        control.get(LOCALS)


def test_what_follows_a_port_has_its_mail_wait_and_the_other_routes_stand(tmp_path: Path) -> None:
    lines: list[str] = []
    routes, control = tmp_path / "smtproutes", Control(tmp_path, Notices(lines.append))
    routes.write_text("a.org:r1\nb.org:r2\n")
    assert control.get(SMTPROUTES) == {b"a.org": b"r1", b"b.org": b"r2"}
    routes.write_text("a.org:r1:587 me secret\nb.org:r3\n")
    assert control.get(SMTPROUTES) == {b"a.org": UNUSABLE_ROUTE, b"b.org": b"r3"}
    [line] = lines
    assert "found 'a.org:r1:587' and more; what needs that line waits" in line and "secret" not in line
    routes.write_text("a.org:r1:587\n")
    assert control.get(SMTPROUTES) == {b"a.org": b"r1:587"} and lines[-1].startswith("mended: ")


def test_every_file_has_one_row_and_no_directory_is_needed_for_a_default(tmp_path: Path) -> None:
    assert len({file.name for file in TABLE}) == len(TABLE)
    (tmp_path / "me").write_text("m.example\n")
    control = Control(tmp_path)
    for file in TABLE:
        control.get(file)
        assert (file.uses and file.says and "{}" in file.sentence + file.unset) or isinstance(file.kind, Presence), (
            file.name
        )


def test_what_is_watched_is_what_the_table_says() -> None:
    at_each_connection = {file.name for file in files_of("smtpd", Taken.CONNECTION)}
    assert {"rcpthosts", "concurrencysmtpperip", "concurrencyperip", "tcp.smtp"} <= at_each_connection
    assert "concurrencylocal" not in at_each_connection
