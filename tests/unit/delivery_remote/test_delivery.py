"""Deliveries over real sockets: a real aiosmtpd as the far end, and scripted ones that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session

from qmail.control.files import Control
from qmail.message.address import DOUBLE_BOUNCE_SENDER, Address
from qmail.message.envelope import Envelope as StoredEnvelope
from qmail.message.envelope import MailParameters, Origin, Recipient
from qmail.queue.deliveries import Job, RecordPosition
from services.delivery.outcome import Kind, Outcome
from services.delivery.remote.attempt import Message, World, attempt
from services.delivery.remote.deliver import RemoteDelivery
from services.delivery.remote.kept import KeptConnections
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.settings import SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.remote.wire import Wire, open_wire
from services.delivery.worker import Delivery
from tests.support.certificate import make_certificate
from tests.support.dnsserver import DnsServer, Zone
from tests.support.scripted import ScriptedServer, Step

TEXT = b"From: ari@xeris.com\nSubject: tes\n\n.dot\nNgetes\n"
ZONE: Zone = {
    "remote.org": [["MX", 10, "mx1.remote.org"], ["MX", 20, "mx2.remote.org"]],
    "mx1.remote.org": [["A", "192.0.2.1"]],
    "mx2.remote.org": [["A", "192.0.2.2"]],
    "self.org": [["MX", 10, "me.self.org"], ["MX", 20, "mx1.remote.org"]],
    "me.self.org": [["A", "192.0.2.99"]],
    "null.org": [["MX", 0, "."]],
    "zero.org": [["MX", 10, "zero.mx"]],
    "zero.mx": [["A", "0.0.0.0"]],
    "alias.org": [["MX", 10, "mail.xeris.com"]],
    "mail.xeris.com": [["A", "203.0.113.9"]],
    "eighty.org": [["MX", number, f"mx{number}.eighty.org"] for number in range(80)],
    "mx79.eighty.org": [["A", "192.0.2.1"]],
    "many.org": [["MX", number, f"mx{number}.many.org"] for number in range(150)],
    "broken.org": "servfail",
    "xn--bcher-kva.org": [["MX", 10, "mx1.remote.org"]],
}
GREETED: list[Step] = [{"send": b"220 hi\r\n"}, {"do": "line"}, {"send": b"250 hi\r\n"}]
ACCEPTS: list[Step] = [
    *GREETED,
    {"do": "line"},
    {"send": b"250 ok\r\n"},
    {"do": "line"},
    {"send": b"250 ok\r\n"},
    {"do": "line"},
    {"send": b"354 go\r\n"},
    {"do": "data"},
]


@dataclass
class Far:
    """The world as one delivery sees it: addresses 192.0.2.x lead to servers on loopback."""

    control: Path
    ports: dict[str, int] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    tcpto: TcpTo = field(default_factory=lambda: TcpTo(lambda: 0.0))
    world: World = field(init=False)

    async def open(self, address: str, port: int) -> Wire:
        self.opened.append(address)
        if address in self.silent:
            raise TimeoutError
        if address not in self.ports:
            raise ConnectionRefusedError
        return await open_wire("127.0.0.1", self.ports[address])


def delivery(recipient: bytes, text: bytes = TEXT, body: bool = True) -> Delivery:
    prefix, rest = text[:10], text[10:]
    envelope = StoredEnvelope(
        id=1,
        time_ms=0,
        size_bytes=len(rest),
        chunk_count=0,
        origin=Origin(uid=0, role="smtpd"),
        sender=Address(b"ari@xeris.com"),
        recipients=(Recipient(Address(recipient)),),
        parameters=MailParameters(body_type="8BITMIME"),
        prefix=prefix,
    )

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(rest), 70_000):
            yield rest[start : start + 70_000]

    return Delivery(
        envelope=envelope,
        job=Job(1, 0, 1, False, RecordPosition(1, 1), envelope.sender, Address(recipient)),
        body=rest if body else None,
        pieces=chunks,
    )


def run(tmp_path: Path, test: Callable[[Far], Awaitable[Any]], **control: str) -> Any:
    """Run `test` with a name server for ZONE and these control files, on the loop of production."""
    files = {"me": "mail.xeris.com\n", "localips": "192.0.2.99\n", "timeoutremote": "10\n", **control}
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    async def main() -> Any:
        dns = DnsServer(ZONE)
        await dns.start()
        far = Far(tmp_path)
        far.world = World(
            settings=SettingsReader(Control(tmp_path)),
            resolver=make_resolver({"DNS_SERVER": f"127.0.0.1:{dns.port}"}),
            tcpto=far.tcpto,
            kept=KeptConnections(idle_seconds=0.05),
            open_wire=far.open,
        )
        try:
            async with asyncio.timeout(20):
                return await test(far)
        finally:
            dns.stop()

    return uvloop.run(main())


def deliver_to_script(tmp_path: Path, script: list[Step], **control: str) -> tuple[Outcome, bytes]:
    """One delivery to a scripted server at 192.0.2.1: the outcome, and what the server received."""

    async def test(far: Far) -> tuple[Outcome, bytes]:
        server = ScriptedServer([script, script])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        return outcome, bytes(server.received[0])

    result: tuple[Outcome, bytes] = run(tmp_path, test, **control)
    return result


class Keeper:
    """aiosmtpd's handler: keeps what came, and whether it came by TLS."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.tls: list[bool] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("full"):
            return "452 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.tls.append(session.ssl is not None)
        return "250 2.0.0 kept"


async def start_aiosmtpd(far: Far, keeper: Keeper, **settings: Any) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, hostname="remote.org", loop=loop, **settings), "127.0.0.1", 0
    )
    far.ports["192.0.2.1"] = server.sockets[0].getsockname()[1]
    return server


def deliver_to_aiosmtpd(
    tmp_path: Path, job: Delivery, keeper: Keeper, settings: dict[str, Any] | None = None, **control: str
) -> Outcome:
    async def test(far: Far) -> Outcome:
        server = await start_aiosmtpd(far, keeper, **(settings or {}))
        outcome = await RemoteDelivery(far.world).deliver(job)
        server.close()
        return outcome

    outcome: Outcome = run(tmp_path, test, **control)
    return outcome


def test_a_real_server_takes_the_message_byte_for_byte(tmp_path: Path) -> None:
    keeper = Keeper()
    outcome = deliver_to_aiosmtpd(tmp_path, delivery(b"joe@remote.org"), keeper)
    assert outcome == Outcome(Kind.SUCCESS, b"192.0.2.1 accepted message.\nRemote host said: 250 2.0.0 kept\n")
    (envelope,) = keeper.envelopes
    assert envelope.content == TEXT.replace(b"\n", b"\r\n")
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ari@xeris.com", ["joe@remote.org"])
    assert "BODY=8BITMIME" in envelope.mail_options


def test_a_large_message_is_streamed_and_arrives_whole(tmp_path: Path) -> None:
    text = b"Subject: big\n\n" + b".0123456789abcdef\r0123456789\n" * 40_000
    keeper = Keeper()
    settings = {"data_size_limit": None}
    outcome = deliver_to_aiosmtpd(tmp_path, delivery(b"joe@remote.org", text, body=False), keeper, settings)
    assert outcome.kind is Kind.SUCCESS
    assert keeper.envelopes[0].content == text.replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def tls_settings(tmp_path: Path) -> dict[str, Any]:
    certificate, key = make_certificate(tmp_path, "mx1.remote.org")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return {"tls_context": context, "require_starttls": False}


@pytest.mark.parametrize(("notlshosts", "tls"), [("", True), ("mx1.remote.org\n", False), ("REMOTE.org\n", False)])
def test_tls_is_used_where_it_is_offered_and_not_forbidden(tmp_path: Path, notlshosts: str, tls: bool) -> None:
    keeper = Keeper()
    job = delivery(b"joe@remote.org")
    outcome = deliver_to_aiosmtpd(tmp_path, job, keeper, tls_settings(tmp_path), notlshosts=notlshosts)
    assert outcome.kind is Kind.SUCCESS
    assert keeper.tls == [tls]


def test_tls_that_fails_is_followed_by_a_connection_in_the_clear(tmp_path: Path) -> None:
    offers: list[Step] = [
        {"send": b"220 hi\r\n"},
        {"do": "line"},
        {"send": b"250-hi\r\n250 STARTTLS\r\n"},
        {"do": "line"},
        {"send": b"220 go\r\nthis is no TLS\r\n"},
        {"do": "close"},
    ]

    async def test(far: Far) -> tuple[Outcome, list[bytes]]:
        server = ScriptedServer([offers, [*ACCEPTS, {"send": b"250 ok\r\n"}]])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        return outcome, [bytes(part) for part in server.received]

    outcome, received = run(tmp_path, test)
    assert outcome.kind is Kind.SUCCESS
    assert received[1].startswith(b"EHLO mail.xeris.com\r\nMAIL FROM:<ari@xeris.com>\r\n")


@pytest.mark.parametrize(
    ("recipient", "kind", "text"),
    [
        (b"nobody@remote.org", Kind.FAILURE, b"550 no such user"),
        (b"full@remote.org", Kind.DEFERRAL, b"452 mailbox full"),
    ],
)
def test_a_refused_recipient_keeps_the_servers_words(tmp_path: Path, recipient: bytes, kind: Kind, text: bytes) -> None:
    outcome = deliver_to_aiosmtpd(tmp_path, delivery(recipient), Keeper())
    assert outcome == Outcome(
        kind,
        b"192.0.2.1 does not like recipient.\nRemote host said: " + text + b"\nGiving up on 192.0.2.1.\n",
    )


@pytest.mark.parametrize(
    "unwilling",
    [
        [{"send": b"554 go to the next\r\n"}],
        [{"send": b"421 too busy\r\n"}],
        [{"send": b"220 hi\r\n"}, {"do": "line"}, {"send": b"502 what\r\n"}, {"do": "line"}, {"send": b"550 no\r\n"}],
        [{"send": b"220 hi\r\n"}, {"do": "close"}],
        [{"do": "close"}],
        [{"send": b"220-x\r\n" * 3000}],
    ],
)
@pytest.mark.parametrize("extensions", ["", "none\n"])
def test_a_first_exchanger_that_will_not_serve_leads_to_the_next(
    tmp_path: Path, unwilling: list[Step], extensions: str
) -> None:
    """RFC 5321 5.1; qmail 1.03 deferred for as long as the first one greeted so."""

    async def test(far: Far) -> tuple[Outcome, list[str]]:
        first, second = ScriptedServer([unwilling]), ScriptedServer([[*ACCEPTS, {"send": b"250 ok\r\n"}]])
        for server, address in ((first, "192.0.2.1"), (second, "192.0.2.2")):
            await server.start()
            far.ports[address] = server.port
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        for server in (first, second):
            await server.stop()
        return outcome, far.opened

    outcome, opened = run(tmp_path, test, **({"extensions": extensions} if extensions else {}))
    if extensions:
        assert (outcome.kind, opened) == (Kind.DEFERRAL, ["192.0.2.1"])
    else:
        assert (outcome.kind, opened) == (Kind.SUCCESS, ["192.0.2.1", "192.0.2.2"])


def test_what_the_preferred_exchanger_said_is_reported_where_none_will_serve(tmp_path: Path) -> None:
    async def test(far: Far) -> Outcome:
        server = ScriptedServer([[{"send": b"554 first\r\n"}], [{"send": b"554 second\r\n"}]])
        await server.start()
        far.ports = dict.fromkeys(("192.0.2.1", "192.0.2.2"), server.port)
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        return outcome

    text = b"Connected to 192.0.2.1 but greeting failed.\nRemote host said: 554 first\n"
    assert run(tmp_path, test) == Outcome(Kind.DEFERRAL, text)


def test_a_refusal_of_the_message_is_not_taken_to_the_next_exchanger(tmp_path: Path) -> None:
    async def test(far: Far) -> tuple[Outcome, list[str]]:
        server = ScriptedServer([[*GREETED, {"do": "line"}, {"send": b"550 not from you\r\n"}]])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        return outcome, far.opened

    outcome, opened = run(tmp_path, test)
    assert (outcome.kind, opened) == (Kind.FAILURE, ["192.0.2.1"])


def test_of_eighty_exchangers_the_last_alone_has_an_address(tmp_path: Path) -> None:
    async def test(far: Far) -> list[str]:
        await RemoteDelivery(far.world).deliver(delivery(b"joe@eighty.org"))
        return far.opened

    assert run(tmp_path, test) == ["192.0.2.1"]


def test_more_exchangers_than_are_asked_for_are_a_doubt_and_no_bounce(tmp_path: Path) -> None:
    async def test(far: Far) -> Outcome:
        return await RemoteDelivery(far.world).deliver(delivery(b"joe@many.org"))

    assert run(tmp_path, test).kind is Kind.DEFERRAL


UTF8_TEXT = "From: Ari <ari@xeris.com>\nSubject: dépêche\n\nhalo\n".encode()


@pytest.mark.parametrize(
    ("text", "smtputf8", "kind"),
    [
        (UTF8_TEXT, True, Kind.FAILURE),
        ("Subject: plain\n\ndépêche\n".encode(), True, Kind.SUCCESS),
        # Mail that did not ask for it goes as it always went.
        (UTF8_TEXT, False, Kind.SUCCESS),
    ],
)
@pytest.mark.parametrize("offered", [False, True])
def test_an_eight_bit_header_that_came_with_smtputf8_goes_only_to_a_host_that_has_it(
    tmp_path: Path, text: bytes, smtputf8: bool, kind: Kind, offered: bool
) -> None:
    keeper = Keeper()
    job = delivery(b"joe@remote.org", text)
    job = replace(job, envelope=replace(job.envelope, parameters=MailParameters("8BITMIME", smtputf8)))
    outcome = deliver_to_aiosmtpd(tmp_path, job, keeper, {"enable_SMTPUTF8": offered})
    assert outcome.kind is (Kind.SUCCESS if offered else kind)
    assert b"(#5.6.7)" in outcome.text or keeper.envelopes


def test_the_next_exchanger_is_tried_after_a_failed_connection(tmp_path: Path) -> None:
    async def test(far: Far) -> tuple[Outcome, list[str]]:
        server = ScriptedServer([[*ACCEPTS, {"send": b"250 ok\r\n"}]])
        await server.start()
        far.ports["192.0.2.2"] = server.port
        outcome = await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        return outcome, far.opened

    outcome, opened = run(tmp_path, test)
    assert opened == ["192.0.2.1", "192.0.2.2"]
    assert outcome == Outcome(Kind.SUCCESS, b"192.0.2.2 accepted message.\nRemote host said: 250 ok\n")


def test_an_international_domain_is_looked_up_as_a_labels(tmp_path: Path) -> None:
    async def test(far: Far) -> list[str]:
        await RemoteDelivery(far.world).deliver(delivery("joe@bücher.org".encode()))
        return far.opened

    assert run(tmp_path, test) == ["192.0.2.1"]


def test_no_exchanger_answers(tmp_path: Path) -> None:
    async def test(far: Far) -> Outcome:
        return await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))

    assert run(tmp_path, test) == Outcome(
        Kind.DEFERRAL, b"Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
    )


def test_a_host_that_times_out_is_left_alone_after_the_second_time(tmp_path: Path) -> None:
    async def test(far: Far) -> list[list[str]]:
        times = [0.0]
        far.world = World(
            settings=far.world.settings,
            resolver=far.world.resolver,
            tcpto=TcpTo(lambda: times[-1]),
            open_wire=far.open,
        )
        far.silent = {"192.0.2.1"}
        worker = RemoteDelivery(far.world)
        rounds = []
        for now in (0.0, 200.0, 400.0):
            times.append(now)
            far.opened = []
            await worker.deliver(delivery(b"joe@remote.org"))
            rounds.append(far.opened)
        worker.flush()
        far.opened = []
        await worker.deliver(delivery(b"joe@remote.org"))
        return [*rounds, far.opened]

    both = ["192.0.2.1", "192.0.2.2"]
    assert run(tmp_path, test) == [both, both, ["192.0.2.2"], both]


@pytest.mark.parametrize(
    ("recipient", "kind", "text"),
    [
        (b"a@self.org", Kind.FAILURE, b"Sorry. Although I'm listed as a best-preference MX or A"),
        (b"a@[192.0.2.99]", Kind.FAILURE, b"Sorry. Although I'm listed as a best-preference MX or A"),
        (b"a@zero.org", Kind.FAILURE, b"Sorry. Although I'm listed as a best-preference MX or A"),
        (b"a@alias.org", Kind.FAILURE, b"Sorry. Although I'm listed as a best-preference MX or A"),
        (b"a@null.org", Kind.FAILURE, b"Sorry, that domain says by its null MX"),
        (b"a@nowhere.org", Kind.FAILURE, b"Sorry, I couldn't find any host named nowhere.org. (#5.1.2)\n"),
        (b"a@broken.org", Kind.DEFERRAL, b"CNAME lookup failed temporarily. (#4.4.3)\n"),
        (b"nohost", Kind.FAILURE, b"Sorry, address must include host name. (#5.1.3)\n"),
        (b"a\nRCPT TO:<b>@remote.org", Kind.FAILURE, b"Sorry, SMTP cannot carry an address"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path: Path, recipient: bytes, kind: Kind, text: bytes) -> None:
    async def test(far: Far) -> tuple[Outcome, list[str]]:
        return await RemoteDelivery(far.world).deliver(delivery(recipient)), far.opened

    outcome, opened = run(tmp_path, test)
    assert outcome.kind is kind
    assert outcome.text.startswith(text)
    assert opened == []


def test_a_route_skips_the_dns_and_our_own_address(tmp_path: Path) -> None:
    async def test(far: Far) -> list[str]:
        await RemoteDelivery(far.world).deliver(delivery(b"joe@anything.invalid"))
        return far.opened

    assert run(tmp_path, test, smtproutes=":192.0.2.99\n") == ["192.0.2.99"]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ([{"do": "close"}], b"Connected to 192.0.2.1 but connection died. (#4.4.2)\n"),
        ([{"send": b"220-hi\r\n"}], b"Connected to 192.0.2.1 but connection died. (#4.4.2)\n"),
        ([*ACCEPTS, {"do": "close"}], b"192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"),
        ([*ACCEPTS], b"192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"),
        ([{"send": b"554 go\r\n"}], b"192.0.2.1 but greeting failed.\nRemote host said: 554 go\n"),
        ([{"send": b"220-x\r\n" * 3000}], b"192.0.2.1 but its reply was too long. (#4.5.0)\n"),
        ([{"send": b"220 " + b"x" * 400_000}], b"192.0.2.1 but its reply was too long. (#4.5.0)\n"),
    ],
)
def test_servers_that_misbehave_cause_deferrals(tmp_path: Path, script: list[Step], text: bytes) -> None:
    outcome, _ = deliver_to_script(tmp_path, script, timeoutremote="1\n")
    assert outcome.kind is Kind.DEFERRAL
    assert outcome.text.endswith(text)


def test_extensions_none_speaks_as_qmail_1_03(tmp_path: Path) -> None:
    script = [*ACCEPTS, {"send": b"250 ok\r\n"}]
    outcome, received = deliver_to_script(tmp_path, script, extensions="none\n")
    assert outcome == Outcome(Kind.SUCCESS, b"192.0.2.1 accepted message.\nRemote host said: 250 ok\n")
    assert received == (
        b"HELO mail.xeris.com\r\nMAIL FROM:<ari@xeris.com>\r\nRCPT TO:<joe@remote.org>\r\nDATA\r\n"
        + TEXT.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
        + b".\r\nQUIT\r\n"
    )


def test_a_message_that_cannot_be_read_to_its_end_never_gets_its_dot(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield TEXT
        raise ConnectionResetError("the bus went away")

    async def test(far: Far) -> tuple[list[bytes], bytes]:
        server = ScriptedServer([ACCEPTS])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        message = Message(chunks=broken, size_bytes=len(TEXT))
        report = await attempt(far.world, b"remote.org", Address(b"a@b"), [Address(b"joe@remote.org")], message)
        await server.stop()
        return report, bytes(server.received[0])

    report, received = run(tmp_path, test)
    assert report == [b"r", b"ZUnable to read message. (#4.3.0)\n"]
    assert b"\r\n.\r\n" not in received


def test_a_peer_that_stops_reading_is_left_and_holds_no_memory(tmp_path: Path) -> None:
    produced = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal produced
        for _ in range(1000):
            produced += 100_000
            yield b"x" * 99_999 + b"\n"

    async def test(far: Far) -> list[bytes]:
        stuck: list[Step] = [*ACCEPTS[:-1], {"sleep": 60}]
        server = ScriptedServer([stuck])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        message = Message(chunks=endless, size_bytes=0)
        report = await attempt(far.world, b"remote.org", Address(b"a@b"), [Address(b"joe@remote.org")], message)
        await server.stop()
        return report

    report = run(tmp_path, test, timeoutremote="1\n")
    assert report == [b"r", b"ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"]
    assert produced < 50_000_000  # the rest was never asked for


def test_an_unreadable_control_file_is_a_deferral(tmp_path: Path) -> None:
    (tmp_path / "smtproutes").mkdir()

    async def test(far: Far) -> Outcome:
        return await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))

    assert run(tmp_path, test) == Outcome(Kind.DEFERRAL, b"Unable to read control files. (#4.3.0)\n")


def test_whatever_is_unforeseen_is_a_deferral(tmp_path: Path) -> None:
    async def test(far: Far) -> Outcome:
        async def explode(address: str, port: int) -> Wire:
            raise RuntimeError("a fault of ours")

        world = World(
            settings=far.world.settings,
            resolver=far.world.resolver,
            tcpto=far.tcpto,
            open_wire=explode,
        )
        return await RemoteDelivery(world).deliver(delivery(b"joe@remote.org"))

    assert run(tmp_path, test) == Outcome(Kind.DEFERRAL, b"qmail-remote crashed.\n")


@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
@pytest.mark.parametrize("extensions", ["", "none"])
def test_no_address_with_control_characters_leaves_the_house(tmp_path: Path, octet: int, extensions: str) -> None:
    odd = b"a" + bytes([octet]) + b"RSET@remote.org"

    async def test(far: Far) -> list[Outcome]:
        usual = delivery(b"joe@remote.org")
        each = (replace(usual.job, sender=Address(odd)), replace(usual.job, recipient=Address(odd)))
        outcomes = [await RemoteDelivery(far.world).deliver(replace(usual, job=job)) for job in each]
        assert far.opened == []
        return outcomes

    told = b"Sorry, SMTP cannot carry an address with control characters in it. (#5.1.3)\n"
    assert run(tmp_path, test, extensions=extensions) == [Outcome(Kind.FAILURE, told)] * 2


@pytest.mark.parametrize(("extensions", "line"), [("", b"MAIL FROM:<>\r\n"), ("none", b"MAIL FROM:<#@[]>\r\n")])
def test_a_double_bounce_to_another_host_has_the_null_sender(tmp_path: Path, extensions: str, line: bytes) -> None:
    async def test(far: Far) -> bytes:
        server = ScriptedServer([[*ACCEPTS, {"send": b"250 ok\r\n"}]])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        usual = delivery(b"joe@remote.org")
        double = replace(usual, job=replace(usual.job, sender=DOUBLE_BOUNCE_SENDER))
        outcome = await RemoteDelivery(far.world).deliver(double)
        await server.stop()
        assert outcome.kind is Kind.SUCCESS
        return bytes(server.received[0])

    assert line in run(tmp_path, test, extensions=extensions)


def broken_off(tmp_path: Path, before: list[Step], after: list[Step]) -> tuple[Outcome, bytes]:
    """A delivery that the role's end breaks off between two parts of the far host's script."""

    async def test(far: Far) -> tuple[Outcome, bytes]:
        there = asyncio.Event()
        server = ScriptedServer([[*before, {"tell": there}, *after]])
        await server.start()
        far.ports["192.0.2.1"] = server.port
        remote = RemoteDelivery(far.world)
        task = asyncio.create_task(remote.deliver(delivery(b"joe@remote.org")))
        await there.wait()
        remote.break_off()
        outcome = await task
        assert (await remote.deliver(delivery(b"joe@remote.org"))).text.startswith(b"I was told to end")
        await server.stop()
        return outcome, bytes(server.received[0])

    result: tuple[Outcome, bytes] = run(tmp_path, test)
    return result


@pytest.mark.parametrize("steps", [0, 2, 4, 6], ids=["greeting", "EHLO", "MAIL", "RCPT"])
def test_at_the_end_a_delivery_that_hangs_before_its_dot_is_deferred(tmp_path: Path, steps: int) -> None:
    outcome, received = broken_off(tmp_path, ACCEPTS[:steps], [])
    assert (outcome.kind, outcome.text) == (
        Kind.DEFERRAL,
        b"I was told to end before the message was sent; it will be sent later. (#4.3.2)\n",
    )
    assert b"\r\n.\r\n" not in received


def test_at_the_end_a_delivery_that_has_sent_its_dot_gets_its_answer(tmp_path: Path) -> None:
    outcome, received = broken_off(tmp_path, ACCEPTS, [{"send": b"250 ok\r\n"}])
    assert outcome.kind is Kind.SUCCESS
    assert received.count(b"\r\n.\r\n") == 1
