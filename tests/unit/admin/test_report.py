"""qmailctl's lines are qmail-qstat's, qmail-qread's and svstat's."""

from __future__ import annotations

from services.admin.figures import Stream
from services.admin.report import render_address, render_qread, render_qstat, render_roles, render_streams, uptimes_of


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


def test_a_role_that_is_not_connected_is_down() -> None:
    assert render_roles(["smtpd", "imap"], {"smtpd": "3m2s"}) == "smtpd: up 3m2s\nimap: down\n"


def test_the_eldest_of_several_connections_counts() -> None:
    connections = [
        {"authorized_user": "smtpd", "uptime": "1s", "start": "2026-11-23T16:00:09Z"},
        {"authorized_user": "smtpd", "uptime": "9s", "start": "2026-11-23T16:00:01Z"},
    ]
    assert uptimes_of(connections) == {"smtpd": "9s"}


def test_what_each_stream_has_taken_of_its_share_is_told() -> None:
    streams = [Stream("HOLD", 0, 0, 400), Stream("IN", 12, 350, 1000), Stream("STATE", 3, 300, -1)]
    assert render_streams(streams) == "bus: HOLD 0 records 0%, IN 12 records 35%, STATE 3 records\n"


def test_of_address_only_what_matters_is_said() -> None:
    assert render_address("192.0.2.1", []) == ""
    assert render_address("127.0.0.1", []).startswith("ADDRESS is a loopback address: ")
    left = ["/var/named/xeris.db", "/var/qmail/control/localips"]
    assert render_address("192.0.2.1", left) == (
        "ADDRESS is 192.0.2.1; files that were edited, and still say another: "
        "/var/named/xeris.db /var/qmail/control/localips\n"
    )
