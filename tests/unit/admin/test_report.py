"""qmailctl's lines are qmail-qstat's, qmail-qread's and svstat's."""

from __future__ import annotations

from qmail.bus.talk.presence import Presence
from qmail.log.notices import Standing
from services.admin.commands.bus_monitor import Stream
from services.admin.commands.presences import Presences
from services.admin.commands.report import (
    render_address,
    render_qread,
    render_qstat,
    render_roles,
    render_standing,
    render_streams,
)


def test_a_message_is_listed_as_by_qmail_qread() -> None:
    message = {
        "id": 217613928334020000,
        "accepted": 1054038913,
        "bytes": 312,
        "sender": "ari@xeris.com",
        "bouncing": True,
        "recipients": [
            {"channel": "local", "address": "joni@xeris.com", "done": False},
            {"channel": "remote", "address": "joe@example.org", "done": True},
        ],
    }
    assert render_qread([message]) == (
        "27 May 2003 12:35:13 GMT  #217613928334020000  312  <ari@xeris.com>  bouncing\n"
        "\tlocal\tjoni@xeris.com\n  done\tremote\tjoe@example.org\n"
    )


def test_the_counts_are_qmail_qstats() -> None:
    text = "messages in queue: 7\nmessages in queue but not yet preprocessed: 0\n"
    assert render_qstat({"messages": 7, "unread": 0}) == text
    assert "in queue: 9\nmessages in queue but not yet preprocessed: 2" in render_qstat({"messages": 7, "unread": 2})


def process(role: str, seconds: float, pid: int = 7, *standing: Standing) -> Presence:
    return Presence(role=role, host="4f3a", pid=pid, seconds=seconds, standing=standing)


def test_a_role_that_is_not_connected_is_down() -> None:
    presences = Presences((process("smtpd", 182.4),), {})
    assert render_roles(["smtpd", "imap"], presences) == "smtpd: up 3m2s\nimap: down\n"
    assert presences.is_up("smtpd") and not presences.is_up("imap")


def test_each_copy_of_a_role_has_a_line_of_its_own() -> None:
    presences = Presences((process("imap", 90000, 7), process("imap", 60, 8)), {})
    assert render_roles(["imap"], presences) == (
        "imap: up 1d1h0m0s, process 7 of 4f3a\nimap: up 1m0s, process 8 of 4f3a\n"
    )


def test_a_process_that_is_connected_and_hangs_is_not_up() -> None:
    presences = Presences((process("imap", 1),), {"imap": 1})
    assert render_roles(["imap"], presences) == "imap: up 1s, process 7 of 4f3a\nimap: connected, and does not answer\n"
    assert not presences.is_up("imap")


def test_what_stands_is_repeated_and_is_printable() -> None:
    eldest = Standing("a", "the certificate ends\x1b[2J", 1054038913.5)
    presences = Presences(
        (process("smtpd", 9, 7, Standing("b", "later", 1054038999)), process("imap", 9, 7, eldest)), {}
    )
    assert render_standing(presences) == (
        "imap: alert since 27 May 2003 12:35:13 GMT: the certificate ends\\x1b[2J\n"
        "smtpd: alert since 27 May 2003 12:36:39 GMT: later\n"
    )


def test_what_each_stream_has_taken_of_its_share_is_told() -> None:
    streams = [Stream("HOLD", 0, 0, 400), Stream("IN", 12, 350, 1000), Stream("JOURNAL", 3, 300, -1)]
    assert render_streams(streams) == "bus: HOLD 0 records 0%, IN 12 records 35%, JOURNAL 3 records\n"


def test_of_address_only_what_matters_is_said() -> None:
    assert render_address("192.0.2.1", []) == ""
    assert render_address("127.0.0.1", []).startswith("ADDRESS is a loopback address: ")
    left = ["/var/named/xeris.db", "/var/qmail/control/localips"]
    assert render_address("192.0.2.1", left) == (
        "ADDRESS is 192.0.2.1; files that were edited, and still say another: "
        "/var/named/xeris.db /var/qmail/control/localips\n"
    )
