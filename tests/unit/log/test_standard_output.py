"""What a role's log writes to standard output: multilog's lines without stamps, or JSON where it is asked for."""

from __future__ import annotations

import json

import pytest

from qmail.control.settings import SettingsError
from qmail.log.log import Log
from qmail.log.notices import Refused
from qmail.message.dates import rfc3339
from qmail.role.process import RoleProcess


def test_plain_lines_without_their_stamps(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("qmail")
    log.line("new msg 1")
    assert capfd.readouterr().out == "new msg 1\n"


def test_an_object_a_line_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    log = Log("qmail-smtpd")
    log.attach(said.extend)
    RoleProcess("smtpd", log, {"LOG_FORMAT": "json", "QMAIL_DIR": "/nowhere"})
    log.line('new "msg" \x1b ü')
    log.notices.refused(Refused.SENDER, "192.0.2.1", "MAIL FROM:<a@b>", "553 sorry")
    log.notices.stands("disk", "no room")
    log.notices.mended("disk")
    first, *others = map(json.loads, capfd.readouterr().out.splitlines())
    assert first == {
        "time": rfc3339(said[0]),
        "log": "qmail-smtpd",
        "level": "info",
        "message": 'new "msg" \\x1b ü',
    }
    assert [(each["level"], each["message"]) for each in others] == [
        ("notice", "refused sender 192.0.2.1: MAIL FROM:<a@b>: 553 sorry"),
        ("alert", "alert: no room"),
        ("info", "mended: no room"),
    ]
    assert said[0].endswith(' new "msg" \\x1b ü')


def test_another_form_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="LOG_FORMAT is 'xml'; expected qmail or json"):
        RoleProcess("smtpd", Log("qmail-smtpd"), {"LOG_FORMAT": "xml"})


def test_a_stamp_as_rfc_3339_has_it() -> None:
    assert rfc3339("@400000003ed3626b075bcd15 new msg 1") == "2003-05-27T13:04:33.123456789Z"
    with pytest.raises(ValueError, match="does not begin with a stamp"):
        rfc3339("no stamp")
