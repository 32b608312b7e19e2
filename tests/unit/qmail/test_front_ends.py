"""control/authfrontends: whose word about a client's address is believed, and how it is said in IMAP."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.files import Control
from qmail.control.front_ends import client_ip, is_front_end
from qmail.door.session import Ask, Peer
from services.imap.commands import COMMANDS
from services.imap.session.dialogue import Terms
from services.imap.session.requests import CheckPassword
from services.imap.session.session import ImapSession


@pytest.fixture
def control(tmp_path: Path) -> Control:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    (tmp_path / "authfrontends").write_text(
        "# the webmail, the balancers\n192.0.2.7\r\n198.51.100.0/25\n2001:db8::/64\n"
    )
    return Control(tmp_path)


@pytest.mark.parametrize(
    ("ip", "listed"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("192.0.2.8", False),
        ("198.51.100.127", True),
        ("198.51.100.128", False),
        ("2001:db8::9", True),
        ("2001:db8:1::9", False),
        ("unknown", False),
    ],
)
def test_addresses_and_networks_are_listed(control: Control, ip: str, listed: bool) -> None:
    assert is_front_end(control, ip) is listed


def test_only_a_front_end_is_believed_and_only_an_address(control: Control) -> None:
    assert client_ip(control, "192.0.2.7", b"203.0.113.9") == "203.0.113.9"
    assert client_ip(control, "192.0.2.7", b"2001:db8:5::1") == "2001:db8:5::1"
    assert client_ip(control, "192.0.2.8", b"203.0.113.9") == "192.0.2.8"
    for nonsense in (b"", b"here", b"\xff", b"203.0.113.9\r\n"):
        assert client_ip(control, "192.0.2.7", nonsense) == "192.0.2.7"


def test_without_the_file_nobody_is_a_front_end(tmp_path: Path) -> None:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    assert client_ip(Control(tmp_path), "127.0.0.1", b"203.0.113.9") == "127.0.0.1"


def test_imap_takes_the_address_from_id_before_the_log_in() -> None:
    session = ImapSession(COMMANDS, Terms(plain_allowed=lambda peer: True, tls_available=lambda: False))
    session.connected(Peer("192.0.2.7", 1, "192.0.2.1", 143, False))
    session.received(b'a ID ("name" "webmail" "X-Originating-IP" "203.0.113.9")\r\n')
    [effect] = session.received(b"b LOGIN ari aripass\r\n")
    assert isinstance(effect, Ask) and isinstance(effect.request, CheckPassword)
    assert effect.request.origin == b"203.0.113.9"
