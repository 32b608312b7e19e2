"""One run of qmail-remote: control files, route, addresses, one connection after the other, a report."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from qmail.control.files import ControlError
from qmail.control.route_passwords import SMTP_PORT
from qmail.message.address import Address
from qmail.message.envelope import NO_PARAMETERS, MailParameters
from services.delivery.remote import qmqp, replies
from services.delivery.remote.client import Client, Manner, Transaction
from services.delivery.remote.header import has_eight_bit_header
from services.delivery.remote.kept import Kept, KeptConnections, Way
from services.delivery.remote.login import Login
from services.delivery.remote.mx import Exchanger, HostAddress, usable_addresses
from services.delivery.remote.outward import outward
from services.delivery.remote.passwords import NoPasswordError, RoutePasswords
from services.delivery.remote.resolve import DnsTemporaryError, HostNotFoundError, NullMxError, Resolver
from services.delivery.remote.routes import SUBMISSIONS_PORT, Route, Tls, find_route, parse_literal
from services.delivery.remote.settings import Settings, SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.remote.transfer import (
    Chunks,
    MessageUnreadableError,
    NotEstablishedError,
    TlsFailedError,
    Transfer,
    transfer,
)
from services.delivery.remote.wire import Wire, open_wire

OpenWire = Callable[[str, int], Awaitable[Wire]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The message as stored (LF line ends); `chunks` may be called again for another connection.

    `before_end` is called when all but the final dot may have been sent: from then on the far host may have it."""

    chunks: Chunks
    before_end: Callable[[], None] = lambda: None
    size_bytes: int
    parameters: MailParameters = NO_PARAMETERS


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What outlives one attempt: settings, the DNS, the table of downed hosts, connections, the network."""

    settings: SettingsReader
    passwords: RoutePasswords = field(default_factory=RoutePasswords)
    resolver: Resolver
    tcpto: TcpTo
    kept: KeptConnections = field(default_factory=KeptConnections)
    open_wire: OpenWire = open_wire


class _GivenUpError(Exception):
    """The attempt is over before any connection; `text` is the report."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


async def attempt(
    world: World, host: bytes, sender: Address, recipients: Sequence[Address], message: Message
) -> list[bytes]:
    """Try to send the message to `recipients`, all at `host`; the parts of qmail-remote's report.

    Raises nothing that can be foreseen: every known trouble is a text of the report."""
    try:
        settings = world.settings.read()
        if settings.qmqp_servers:
            return await _by_qmqp(world, settings.qmqp_servers, sender, recipients, message)
        route = find_route(settings.routes, host)
        login = _read_login(world.passwords, route)
        quoted, all_aliases = await _quote_recipients(world.resolver, recipients, rewrite=settings.exact and not route)
        found = await _find_addresses(world.resolver, host, route, exact=settings.exact)
        # Other mail than that which came with SMTPUTF8 goes as it is, whatever its header holds.
        eight_bit_header = message.parameters.smtputf8 and await has_eight_bit_header(message.chunks)
    except ControlError:
        return [replies.CONTROL_UNREADABLE]
    except MessageUnreadableError:
        return [replies.MESSAGE_UNREADABLE]
    except _GivenUpError as end:
        return [end.text]
    usable = found if route or all_aliases else usable_addresses(found, settings.ourselves)
    if not usable:
        return [replies.BEST_PREFERENCE]
    transaction = Transaction(
        sender=_quote(sender if settings.exact else outward(sender, settings.no_host)),
        recipients=quoted,
        size_bytes=message.size_bytes,
        parameters=message.parameters,
        eight_bit_header=eight_bit_header,
    )
    visit = _Visit(world, settings, transaction, message, route or Route(b"", SMTP_PORT), login, host)
    return await visit.try_each(usable)


async def _by_qmqp(
    world: World, servers: Sequence[qmqp.Server], sender: Address, recipients: Sequence[Address], message: Message
) -> list[bytes]:
    addresses, size = (sender, recipients), message.size_bytes
    return await qmqp.send(world.open_wire, servers, addresses, size, message.chunks, message.before_end)


def _read_login(passwords: RoutePasswords, route: Route | None) -> Login | None:
    if route is None:
        return None
    if not route.understood:
        raise _GivenUpError(replies.ROUTE_NOT_UNDERSTOOD)
    try:
        return passwords.login(route) if route.user else None
    except NoPasswordError as error:
        raise _GivenUpError(replies.NO_PASSWORD) from error


def _quote(address: Address) -> bytes:
    # An address without a host is sent as it is (qmail-remote's addrmangle).
    return address.raw if address.domain is None else address.quoted()


async def _quote_recipients(
    resolver: Resolver, recipients: Sequence[Address], *, rewrite: bool
) -> tuple[tuple[bytes, ...], bool]:
    """The recipients as SMTP wants them, and whether every one's domain was an alias (CNAME).

    Only qmail 1.03's manner rewrites domains; RFC 5321 2.3.5 has no need for it."""
    if not rewrite:
        return tuple(map(_quote, recipients)), False
    quoted, all_aliases = [], True
    for recipient in recipients:
        if recipient.domain is not None:
            try:
                canonical = await resolver.canonical(recipient.domain)
            except DnsTemporaryError as error:
                raise _GivenUpError(replies.CNAME_LOOKUP_FAILED) from error
            recipient = Address.join(recipient.local, canonical.name)
            all_aliases = all_aliases and canonical.alias
        quoted.append(_quote(recipient))
    return tuple(quoted), all_aliases


async def _find_addresses(resolver: Resolver, host: bytes, route: Route | None, *, exact: bool) -> list[HostAddress]:
    target = route.host if route else host
    try:
        if route or parse_literal(host) is not None:
            found = await resolver.addresses(target)
            if not found:
                raise HostNotFoundError
            return found
        name = host if exact else _ascii_name(host)
        exchangers = await _exchangers(resolver, name, exact=exact)
        found = await resolver.mail_addresses(name, exchangers)
    except HostNotFoundError as error:
        raise _GivenUpError(replies.no_such_host(target)) from error
    except NullMxError as error:
        raise _GivenUpError(replies.NO_EXCHANGER if exact else replies.NULL_MX) from error
    except DnsTemporaryError as error:
        raise _GivenUpError(replies.DNS_FAILED) from error
    if not found:
        raise _GivenUpError(replies.NO_EXCHANGER)
    return found


def _ascii_name(host: bytes) -> bytes:
    """A domain as the DNS knows it: U-labels, which SMTPUTF8 brings, as A-labels (RFC 6531 3.2, RFC 5890)."""
    if host.isascii():
        return host
    try:
        return host.decode("utf-8").encode("idna")
    except UnicodeError as error:
        raise HostNotFoundError from error


async def _exchangers(resolver: Resolver, host: bytes, *, exact: bool) -> list[Exchanger]:
    try:
        return await resolver.exchangers(host)
    except DnsTemporaryError as error:
        # qmail's first question is for the CNAME; ours is for the MX. Its failure keeps the text people know.
        raise _GivenUpError(replies.DNS_FAILED if exact else replies.CNAME_LOOKUP_FAILED) from error


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one host said; `about_the_message`: no other host need be asked."""

    report: list[bytes]
    about_the_message: bool


@dataclass(frozen=True, slots=True)
class _Visit:
    """The connections of one attempt. A host that cannot be reached, greets with 4xx or 5xx, refuses our name or hangs
    up before MAIL leads on to the next address (RFC 5321 5.1); in qmail 1.03's manner only the first of these does."""

    world: World
    settings: Settings
    transaction: Transaction
    message: Message
    route: Route
    login: Login | None
    host: bytes

    async def try_each(self, usable: Sequence[HostAddress]) -> list[bytes]:
        loop = asyncio.get_running_loop()
        began, said = loop.time(), None
        for address in usable:
            if self.world.tcpto.down(address.ip):
                continue
            # Hosts that let us wait for their greeting must not keep the message's place for long.
            if said is not None and loop.time() - began > self.settings.remote_seconds:
                break
            answer = await self._visit(address)
            if answer is not None and (answer.about_the_message or self.settings.exact):
                return answer.report
            said = said or answer
        return [replies.NO_CONNECTION] if said is None else said.report

    async def _visit(self, address: HostAddress) -> _Answer | None:
        way = Way(ip=address.ip, port=self.route.port, name=_tls_name(address), manner=self._manner(address))
        if kept := self.world.kept.take(way):
            client = await self._converse(kept.wire, way, kept)
            if not client.stale:
                return _Answer(client.report, client.serves)
        try:
            return await self._afresh(way)
        except TlsFailedError as error:
            if way.manner.secure:
                why = str(error.__cause__) or "no answer"
                return _Answer([replies.tls_failed(address.ip.encode(), why)], about_the_message=False)
            # Opportunistic TLS (RFC 7435): better in the clear than not at all. The next message tries TLS again.
            return await self._afresh(replace(way, manner=replace(way.manner, tls=False, keep=False)))

    def _manner(self, address: HostAddress) -> Manner:
        tls, keep = self.route.tls, not self.settings.exact
        secure = tls is not Tls.OFFERED
        return Manner(
            helo=self.settings.helo,
            extended=keep or secure,
            tls=secure or self._tls_wanted(address),
            keep=keep,
            secure=secure,
            verify=tls is Tls.VERIFY,
            login=self.login,
        )

    async def _afresh(self, way: Way) -> _Answer | None:
        wire = await self._connect(way)
        if wire is None:
            return None
        try:
            client = await self._converse(wire, way)
        except NotEstablishedError:
            return None
        return _Answer(client.report, client.serves)

    def _tls_wanted(self, address: HostAddress) -> bool:
        names = {self.host.lower(), address.name.lower(), address.ip.encode()}
        return not self.settings.exact and not names & self.settings.no_tls_hosts

    async def _converse(self, wire: Wire, way: Way, kept: Kept | None = None) -> Client:
        client = Client(way.ip.encode(), way.manner, self.transaction, kept.offers if kept else None)
        plan = Transfer(
            client=client,
            chunks=self.message.chunks,
            before_end=self.message.before_end,
            exact=self.settings.exact,
            timeout_seconds=self.settings.remote_seconds,
            tls_context=_verifying() if way.manner.verify else _TLS_CONTEXT,
            tls_name=way.name,
            tls_first=way.port == SUBMISSIONS_PORT and kept is None,
        )
        try:
            await transfer(wire, plan)
        finally:
            if client.reusable:
                self.world.kept.keep(way, wire, client.offers, kept)
            else:
                wire.close()
        return client

    async def _connect(self, way: Way) -> Wire | None:
        tcpto = self.world.tcpto
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                wire = await self.world.open_wire(way.ip, way.port)
        except TimeoutError:
            tcpto.timed_out(way.ip)
            return None
        except OSError as error:
            if error.errno == errno.ETIMEDOUT:
                tcpto.timed_out(way.ip)
            else:
                tcpto.succeeded(way.ip)
            return None
        tcpto.succeeded(way.ip)
        return wire


def _tls_name(address: HostAddress) -> str:
    return address.ip if parse_literal(address.name) else address.name.decode("ascii", "replace")


def _make_tls_context() -> ssl.SSLContext:
    # Without DANE or MTA-STS a certificate proves nothing about an MX; encryption alone is what can be had.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_TLS_CONTEXT = _make_tls_context()


@cache
def _verifying() -> ssl.SSLContext:
    """By the certificates that this machine trusts."""
    return ssl.create_default_context()
