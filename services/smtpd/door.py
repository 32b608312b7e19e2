"""What all connections of one process share.

Listeners, limits, rules, the certificate, the log, the sweep of timeouts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from qmail.control import Control
from qmail.control_table import CONCURRENCYINCOMING, CONCURRENCYSMTPPERIP
from qmail.door.admission import Admission, Admitted
from qmail.door.certificate import ServerTls
from qmail.door.cleartext import plaintext_allowed, read_gateways
from qmail.door.server import TlsAcceptor, bind
from qmail.log import Log
from qmail.rules import Rule, RuleError, Rules
from services.smtpd.desk import Desk
from services.smtpd.facts import Client, read_client
from services.smtpd.interfaces import read_interfaces
from services.smtpd.plugins import hooks_of
from services.smtpd.policy import Policy, PolicyReader
from services.smtpd.settings import Settings, read_rules

if TYPE_CHECKING:
    from services.smtpd.server import SmtpdConnection

_log = logging.getLogger(__name__)

_RULES = "control/tcp.smtp"
BACKLOG = 511
MAX_REMEMBERED_CLIENTS = 1000
SWEEP_SECONDS = 1.0
GRACE_SECONDS = 50.0

# Attributes that asyncio keeps for each StreamReaderProtocol; ours needs none of them.
_PER_CONNECTION = ("_stream_reader_wr", "_strong_reader", "_closed", "_task", "_transport")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a listener is for. `submission`: RFC 6409; `tls`: from the first byte (RFC 8314)."""

    submission: bool
    tls: bool


class Freshness:
    """Whether it is time to look at the files again: for each session, but not more often than a busy door can notice.

    Up to CHECKS looks in each WINDOW_SECONDS; the sessions beyond them take what the last look found."""

    CHECKS = 10
    WINDOW_SECONDS = 0.1

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._window_ends = float("-inf")
        self._left = 0

    def due(self) -> bool:
        now = self._clock()
        if now >= self._window_ends:
            self._window_ends = now + self.WINDOW_SECONDS
            self._left = self.CHECKS
        self._left -= 1
        return self._left >= 0


class RulesReader:
    """The current rules; tcp.smtp is read again when it changes. A bad file leaves the old rules in force."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._path = os.fspath(settings.paths.tcp_smtp)
        self._stamp: tuple[int, int, int] | None = None
        self._read = False
        self._rules = Rules()

    def current(self) -> Rules:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = None
        if not self._read or stamp != self._stamp:
            self._read, self._stamp = True, stamp
            try:
                self._rules = read_rules(self._settings, read_interfaces())
            except RuleError as error:
                self._log.notices.stands(_RULES, f"rules not taken: {error}")
            else:
                self._log.notices.mended(_RULES)
        return self._rules


class Door:
    """One process's door. `handler` and `authenticator` are plug-ins written for aiosmtpd."""

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        log: Log,
        admission: Admission,
        handler: object = None,
        authenticator: Any = None,
        now: Callable[[], float] = time.time,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self.settings = settings
        self.desk = desk
        self.log = log
        self.now = now
        self.stopping = False
        self.authenticator = authenticator
        self.hooks = hooks_of(handler)
        self.tls = ServerTls(settings.paths.tls)
        self.prototype = _prototype(handler, authenticator)
        self.connections: set[SmtpdConnection] = set()
        self._admission = admission
        self._control = Control(settings.paths.control, log.notices)
        own_ips = frozenset(str(interface.ip) for interface in read_interfaces()) | {settings.address}
        self._policies = PolicyReader(self._control, own_ips)
        self._policy: Policy | None = None
        self._rules = RulesReader(settings, log)
        self.gateways = read_gateways() if settings.contained else frozenset()
        self._freshness = Freshness(time.monotonic)
        self._current_rules = Rules()
        self._tls_offered = False
        self._clients: dict[tuple[str, Purpose], Client | None] = {}
        self._limits = (1, 1)
        self._listening: list[asyncio.Server | TlsAcceptor] = []
        #: The bound ports: those of SMTP_LISTEN, then those of SUBMISSION_LISTEN.
        self.ports: list[int] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_seconds = sweep_seconds
        self._number = 0
        self._empty = asyncio.Event()
        self._empty.set()

    # --- life ---

    async def start(self, make: Callable[[Door, Purpose], SmtpdConnection]) -> None:
        """Bind and listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        purposes = [(listener, False) for listener in self.settings.smtp]
        purposes += [(listener, True) for listener in self.settings.submission]
        for listener, submission in purposes:
            sock = bind(listener)
            self.ports.append(sock.getsockname()[1])
            factory = partial(make, self, Purpose(submission, listener.tls))
            if listener.tls:
                self._listening.append(TlsAcceptor(sock, partial(_accept_tls, factory), BACKLOG))
            else:
                self._listening.append(await loop.create_server(factory, sock=sock, backlog=BACKLOG))
        self._plan_sweep()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """No new connections; transactions that run are finished; what is left after the grace is cut off."""
        self.stopping = True
        for listening in self._listening:
            listening.close()
        for connection in tuple(self.connections):
            connection.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace_seconds)
        for connection in tuple(self.connections):
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()

    def _plan_sweep(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self._sweep_seconds, self._sweep_deadlines)

    def _sweep_deadlines(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in [late for late in self.connections if late.deadline <= now]:
            connection.expire()
        self._plan_sweep()

    # --- one client ---

    def policy(self) -> Policy:
        """The control files, the rules and the certificate as of now. Raises ControlError."""
        if self._policy is not None and not self._freshness.due():
            return self._policy
        policy, rules, offered = self._policies.current(), self._rules.current(), self.tls.available
        if policy is not self._policy or rules is not self._current_rules or offered is not self._tls_offered:
            self._clients.clear()
        self._current_rules, self._tls_offered = rules, offered
        if policy is not self._policy:
            self._limits = self._read_limits()
            self._policy = policy
            if policy.rcpthosts_missing:
                self.log.line("smtpd: warning: control/rcpthosts is missing; only our own domains are accepted")
        return policy

    def _read_limits(self) -> tuple[int, int]:
        """concurrencyincoming, and concurrencysmtpperip.

        Without it one address may have half, so that no single host can keep all others out. Where nobody but this
        host can come, every client shares its address and there is nobody to keep a place for.
        """
        total = self._control.get(CONCURRENCYINCOMING)
        fair = total if self.settings.local_only else (total + 1) // 2
        return total, self._control.get(CONCURRENCYSMTPPERIP) or fair

    def admit(self, connection: SmtpdConnection, ip: str) -> tuple[Admitted, int]:
        """Count a connection in, and its number for the log."""
        self._number += 1
        limit, per_address = self._limits
        admitted = self._admission.enter(ip, limit, per_address)
        if admitted is Admitted.YES:
            self.connections.add(connection)
            self._empty.clear()
            self.log.line(f"tcpserver: status: {self._admission.total}/{limit}")
            self.log.line(f"tcpserver: pid {self._number} from {ip}")
        else:
            self.log.line(f"tcpserver: deny {self._number} {ip}: {admitted.value}, {self._admission.total}/{limit}")
        return admitted, self._number

    def leave(self, connection: SmtpdConnection, ip: str, number: int, status: int) -> None:
        """Count an admitted connection out, once: when it has ended, or when it is given up while something of it
        still hangs."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self._admission.leave(ip)
        self.log.line(f"tcpserver: end {number} status {status}")
        self.log.line(f"tcpserver: status: {self._admission.total}/{self._limits[0]}")
        if not self.connections:
            self._empty.set()

    def client(self, policy: Policy, ip: str, purpose: Purpose) -> Client | None:
        """Who this is, from its address and what the rules set.

        None: a rule denies. Remembered while nothing changes.
        """
        key = (ip, purpose)
        if key not in self._clients:
            if len(self._clients) >= MAX_REMEMBERED_CLIENTS:
                self._clients.clear()
            self._clients[key] = self._make_client(policy, self._current_rules.find(ip), ip, purpose)
        return self._clients[key]

    def _make_client(self, policy: Policy, rule: Rule, ip: str, purpose: Purpose) -> Client | None:
        if not rule.allow:
            return None
        variables: Mapping[str, bytes] = {
            "TCPREMOTEIP": ip.encode(),
            # Our own name stands for TCPLOCALHOST.
            "TCPLOCALHOST": policy.greeting.split(b" ", 1)[0] or b"0",
            **rule.variables,
        }
        client = read_client(variables)
        if not policy.extensions and not purpose.submission:
            return client
        return replace(
            client,
            tls=purpose.tls,
            tls_offered=not purpose.tls and self._tls_offered,
            auth_offered=plaintext_allowed(
                tls=purpose.tls, peer_ip=ip, address=self.settings.address, gateways=self.gateways
            ),
            auth_required=purpose.submission,
        )


def _accept_tls(make: Callable[[], SmtpdConnection], sock: socket.socket) -> None:
    make().accept_tls(sock)


def _prototype(handler: object, authenticator: Any) -> dict[str, Any]:
    """The attributes of an aiosmtpd SMTP. Its constructor inspects class and handler for 0.3 ms: once is enough."""
    made = SMTP(handler, hostname="localhost", authenticator=authenticator, loop=asyncio.get_running_loop())
    return {name: value for name, value in vars(made).items() if name not in _PER_CONNECTION}
