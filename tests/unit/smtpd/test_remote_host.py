"""Rules for a client's name, and what `Received` and the log show of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from services.smtpd import replies
from tests.support.dnsserver import DnsServer

Connect = Callable[[int], Any]
OpenDoor = Callable[..., Any]

REVERSE = "1.0.0.127.in-addr.arpa"
ZONE: dict[str, Any] = {REVERSE: [["PTR", "mail.xeris.com."]], "mail.xeris.com": [["A", "127.0.0.1"]]}
GREETING = b"220 mail.xeris.com ESMTP\r\n"
BY_NAME = '=.xeris.com:allow,RELAYCLIENT=""\n'


class NameServer:
    """In a thread of its own; `zone` may change."""

    def __init__(self) -> None:
        self.zone = dict(ZONE)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = DnsServer(self.zone)
        self.server._zone = self.zone
        asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(10)
        self.address = f"127.0.0.1:{self.server.port}"

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.stop)
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture
def by_name(open_door: OpenDoor, names: NameServer, directory: Any) -> Any:
    """A door whose rules let xeris.com's hosts relay."""
    (directory / "control" / "tcp.smtp").write_text(BY_NAME)
    return open_door(DNS_SERVER=names.address)


def relays(client: Any) -> bytes:
    assert client.ask(b"MAIL FROM:<ari@xeris.com>") == b"250 ok\r\n"
    reply: bytes = client.ask(b"RCPT TO:<x@elsewhere.example>")
    return reply


def test_a_confirmed_name_opens_what_its_rule_grants_and_stands_in_received_and_log(
    by_name: Any, connect: Connect
) -> None:
    client = connect(by_name.port)
    # What comes before the greeting waits for it.
    client.send(b"HELO \r\n")
    assert (client.reply(), client.reply()) == (GREETING, b"250 mail.xeris.com\r\n")
    assert relays(client) == b"250 ok\r\n"
    assert client.ask(b"DATA") == b"354 go ahead\r\n"
    client.send(b"x\r\n.\r\n")
    assert client.reply().startswith(b"250 ok")
    [(envelope, text)] = by_name.messages()
    assert b"Received: from mail.xeris.com (HELO ) (127.0.0.1)\n" in text
    assert envelope.origin.remote_host == "mail.xeris.com"
    [line] = [line for line in by_name.log.lines if line.startswith("tcpserver: ok")]
    assert " mail.xeris.com:127.0.0.1::" in line


@pytest.mark.parametrize("zone", [{}, {REVERSE: [["PTR", "mail.xeris.com."]], "mail.xeris.com": [["A", "9.9.9.9"]]}])
def test_a_name_that_nobody_confirms_matches_nothing(
    by_name: Any, connect: Connect, names: NameServer, zone: dict[str, Any]
) -> None:
    names.zone.clear()
    names.zone.update(zone)
    client = connect(by_name.port)
    assert client.reply() == GREETING
    assert relays(client) == replies.NOT_IN_RCPTHOSTS


def test_a_name_server_that_fails_refuses_nothing_for_good(by_name: Any, connect: Connect, names: NameServer) -> None:
    names.zone[REVERSE] = "servfail"
    client = connect(by_name.port)
    assert client.reply() == GREETING
    assert relays(client) == replies.NAME_IN_DOUBT
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"250 ok\r\n"


def test_a_rule_denies_by_name_after_the_look_up(by_name: Any, connect: Connect) -> None:
    (by_name.directory / "control" / "tcp.smtp").write_text("=mail.xeris.com:deny\n")
    client = connect(by_name.port)
    assert client.rest() == replies.DENIED
    assert any(line.startswith("tcpserver: deny") for line in by_name.log.lines)


def test_nothing_is_asked_where_no_rule_depends_on_it(by_name: Any, connect: Connect, names: NameServer) -> None:
    (by_name.directory / "control" / "tcp.smtp").write_text(f"{BY_NAME}127.:allow\n")
    client = connect(by_name.port)
    assert client.reply() == GREETING
    assert relays(client) == replies.NOT_IN_RCPTHOSTS
    assert names.server.queries == set()


def test_tcplookup_has_each_name_looked_up(by_name: Any, connect: Connect, names: NameServer) -> None:
    control = by_name.directory / "control"
    (control / "tcp.smtp").write_text(":allow\n")
    (control / "tcplookup").touch()
    assert connect(by_name.port).reply() == GREETING
    assert names.server.queries == {f"PTR {REVERSE}", "A mail.xeris.com"}


def test_our_own_networks_have_no_names(by_name: Any, connect: Connect, names: NameServer) -> None:
    by_name.door._own_networks = (ip_network("127.0.0.0/8"),)
    client = connect(by_name.port)
    assert client.reply() == GREETING
    assert relays(client) == replies.NOT_IN_RCPTHOSTS
    assert names.server.queries == set()
