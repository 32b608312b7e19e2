"""What all connections of one process share: rules, limits, policy, the certificate, the log.

It is the reception (qmail.door.session) of the two doors, for mail from everywhere and for submission.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Final

from qmail.control.files import Control, ControlError
from qmail.control.rules import ALLOW, Network, Rule, RuleError, Rules
from qmail.control.table import CONCURRENCYINCOMING, CONCURRENCYSMTPPERIP, CONCURRENCYSUBMISSION
from qmail.door.admission import Admission, Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.cleartext import plaintext_allowed
from qmail.door.cleartext_networks import CleartextNetworks
from qmail.door.limits import Limits
from qmail.door.server import Server
from qmail.door.session import Handler, Peer, Session, TurnedAway, Visitor
from qmail.log.log import Log
from qmail.log.notices import Refused
from qmail.message.envelope import Origin
from qmail.message.printable import printable
from qmail.message.remote_host import NO_HOST, RemoteHost
from qmail.role.interfaces import read_gateways, read_interfaces
from qmail.role.remote_hosts import make_remote_hosts
from services.smtpd import replies
from services.smtpd.desk import Desk
from services.smtpd.dialogue import EXIT_OTHER
from services.smtpd.facts import Client, read_client
from services.smtpd.handler import QmqpHandler, SmtpdHandler
from services.smtpd.hooks import BODIES_BYTES, Hooks
from services.smtpd.plugin import Plugin
from services.smtpd.policy import Policy
from services.smtpd.policy_reader import PolicyReader
from services.smtpd.qmqp import QmqpSession
from services.smtpd.session import SmtpSession
from services.smtpd.settings import QMQP_DOOR, SMTP_DOOR, SUBMISSION_DOOR, Settings, own_networks, read_rules

_RULES, _SENDERS = "control/tcp.smtp", "senders in control/badrcptto"
MAX_REMEMBERED_CLIENTS = 1000
LIMITS: Final = Limits(
    # No client waits longer than ten minutes (RFC 5321 4.5.3.2.6).
    answer_seconds=900.0,
    linger_seconds=5.0,
)


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
    """One process's reception."""

    name: Final = "smtpd"
    refusals: Final = {
        Admitted.FULL: replies.TOO_MANY_CONNECTIONS,
        Admitted.FULL_FOR_ADDRESS: replies.TOO_MANY_FROM_YOU,
        Admitted.STOPPING: replies.STOPPING,
    }

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        log: Log,
        admission: Admission,
        plugin: Plugin | None = None,
        now: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Raises SettingsError where DNS_SERVER is no address."""
        self.settings = settings
        self.desk = desk
        self.log = log
        self.now = now
        self.plugin = plugin
        self.hooks = Hooks(plugin.verbs if plugin else frozenset(), BODIES_BYTES // settings.processes)
        self.tls = ServerTls(settings.paths.tls, log.notices)
        self._admission = admission
        self._control = Control(settings.paths.control, log.notices)
        self._control.remember("smtpd")
        interfaces = read_interfaces()
        own_ips = frozenset(str(interface.ip) for interface in interfaces) | {settings.address}
        self._own_networks = own_networks(interfaces) if settings.contained else ()
        self.hosts = make_remote_hosts(environ, time.monotonic)
        self._cleartext = CleartextNetworks(self._control, log.notices)
        self._policies = PolicyReader(self._control, own_ips)
        self._policy: Policy | None = None
        self._rules = RulesReader(settings, log)
        self.gateways = read_gateways() if settings.contained else frozenset()
        self._freshness = Freshness(time.monotonic)
        self._current_rules = Rules()
        self._tls_offered = False
        self._clients: dict[tuple[str, str, bool, RemoteHost], Client | None] = {}
        self._budgets: dict[str, Budget] = {}

    def server(self, limits: Limits = LIMITS) -> Server:
        """The listeners: those of SMTP_LISTEN, then those of SUBMISSION_LISTEN and QMQP_LISTEN."""
        listeners = self.settings.smtp + self.settings.submission + self.settings.qmqp
        return Server(listeners, self, self.log, limits, self.tls, self._admission)

    # --- one client ---

    def budget(self, peer: Peer) -> Budget:
        """Of the client's door, as the control files have it now."""
        try:
            self.policy()
        except ControlError as error:
            raise TurnedAway(str(error), replies.NO_CONTROLS) from error
        return self._budgets[peer.door]

    def enter(self, peer: Peer, visitor: Visitor) -> tuple[Session, Handler]:
        """The client has a place; the rules may deny it still, at once or when its name is known."""
        policy = self._policy
        assert policy is not None
        self._log_status(peer)
        self.log.line(f"tcpserver: pid {peer.number} from {peer.ip}")
        if peer.door == QMQP_DOOR:
            return self._enter_qmqp(policy, peer)
        host, name_first = self._host(policy, peer.ip), None
        if host is None:
            client, origin = self._stranger(policy, peer)
            name_first = partial(self._meet, policy, peer)
        else:
            client, origin = self._meet(policy, peer, host)
        tell = partial(self._refused, peer.ip)
        session = SmtpSession(
            policy, client, origin, self.now, self.hooks, self.desk.known, tell, name_first, self._hit
        )
        return session, SmtpdHandler(self, session.dialogue, peer, visitor)

    def _enter_qmqp(self, policy: Policy, peer: Peer) -> tuple[Session, Handler]:
        """By the list alone: rules of tcp.smtp are for SMTP."""
        if not _is_in(peer.ip, policy.qmqp_clients):
            raise TurnedAway("not in control/qmqpclients")
        if _is_in(peer.ip, self._own_networks):
            raise TurnedAway("an address of our own networks, which may be anybody's")
        client, origin = self._stranger(policy, peer)
        return QmqpSession(policy, client, origin, self.now, partial(self._refused, peer.ip)), QmqpHandler(self)

    def _host(self, policy: Policy, ip: str) -> RemoteHost | None:
        """The client's name as far as it is wanted; None: it is to be looked up. Through address translation anybody
        looks like our own networks' gateway: nobody there has a name."""
        if not (policy.look_up_hosts or self._current_rules.depends_on_host(ip)):
            return NO_HOST
        if _is_in(ip, self._own_networks):
            return NO_HOST
        return self.hosts.known(ip)

    def _meet(self, policy: Policy, peer: Peer, host: RemoteHost) -> tuple[Client, Origin]:
        """Who the client is. Raises TurnedAway where a rule denies it."""
        client = self.client(policy, peer, host)
        verdict = "deny" if client is None else "ok"
        here = f"{policy.greeting.decode('latin-1')}:{peer.local_ip}:{peer.local_port}"
        self.log.line(f"tcpserver: {verdict} {peer.number} {here} {printable(host.name)}:{peer.ip}::{peer.port}")
        if client is None:
            raise TurnedAway("denied by tcp.smtp", replies.DENIED)
        return client, self._origin(peer, client)

    def _stranger(self, policy: Policy, peer: Peer) -> tuple[Client, Origin]:
        """Who waits for his name to be found."""
        client = self._make_client(policy, ALLOW, peer, NO_HOST)
        assert client is not None
        return client, self._origin(peer, client)

    def _origin(self, peer: Peer, client: Client) -> Origin:
        host = client.remote_host.decode("latin-1")
        return Origin(uid=self.desk.uid, role="smtpd", remote_ip=peer.ip, remote_host=host)

    def left(self, peer: Peer, session: Session | None) -> None:
        """tcpserver's two lines."""
        status = session.dialogue.exit_status if isinstance(session, SmtpSession) else EXIT_OTHER
        self.log.line(f"tcpserver: end {peer.number} status {status}")
        self._log_status(peer)

    def _log_status(self, peer: Peer) -> None:
        total, limit = self._admission.total(peer.door), self._budgets[peer.door].connections
        self.log.line(f"tcpserver: status: {total}/{limit}")

    def policy(self) -> Policy:
        """The control files, the rules and the certificate as of now. Raises ControlError."""
        if self._policy is not None and not self._freshness.due():
            return self._policy
        policy, rules, offered = self._policies.current(), self._rules.current(), self.tls.available
        if policy is not self._policy or rules is not self._current_rules or offered is not self._tls_offered:
            self._clients.clear()
        self._current_rules, self._tls_offered = rules, offered
        if policy is not self._policy:
            self._budgets = self._read_budgets()
            self._policy = policy
            if policy.rcpthosts_missing:
                self.log.line("smtpd: warning: control/rcpthosts is missing; only our own domains are accepted")
            self._tell_of_senders(policy.senders_in_badrcptto())
        return policy

    def _tell_of_senders(self, warning: str | None) -> None:
        if warning is None:
            self.log.notices.mended(_SENDERS)
        else:
            self.log.notices.stands(_SENDERS, warning)

    def _hit(self, file: str, entry: bytes) -> None:
        self.log.notices.count(f"control/{file}: {printable(entry)}")

    def _read_budgets(self) -> dict[str, Budget]:
        """concurrencyincoming, concurrencysubmission, concurrencysmtpperip.

        Whoever fills the door for mail from everywhere leaves people's own places as they are. Without
        concurrencysmtpperip one address may have half, so that no single host can keep all others out; where nobody but
        this host can come, every client shares its address and there is nobody to keep a place for.
        """
        incoming = self._control.get(CONCURRENCYINCOMING)
        submission = self._control.get(CONCURRENCYSUBMISSION) or incoming
        budgets = self._budget_of(incoming), self._budget_of(submission)
        return {SMTP_DOOR: budgets[0], SUBMISSION_DOOR: budgets[1], QMQP_DOOR: budgets[0]}

    def _budget_of(self, total: int) -> Budget:
        fair = total if self.settings.local_only else (total + 1) // 2
        return Budget(total, self._control.get(CONCURRENCYSMTPPERIP) or fair)

    def _refused(self, ip: str, kind: Refused, what: bytes, why: bytes) -> None:
        """A reply that refused, for the log."""
        self.log.notices.refused(kind, ip, printable(what), printable(why))

    def client(self, policy: Policy, peer: Peer, host: RemoteHost) -> Client | None:
        """Who this is, from its address, its name and what the rules set.

        None: a rule denies. Remembered while nothing changes.
        """
        key = (peer.ip, peer.door, peer.tls, host)
        if key not in self._clients:
            if len(self._clients) >= MAX_REMEMBERED_CLIENTS:
                self._clients.clear()
            self._clients[key] = self._make_client(policy, self._current_rules.find(peer.ip, host.name), peer, host)
        return self._clients[key]

    def _make_client(self, policy: Policy, rule: Rule, peer: Peer, host: RemoteHost) -> Client | None:
        if not rule.allow:
            return None
        named = {"TCPREMOTEHOST": host.name.encode()} if host.name else {}
        variables: Mapping[str, bytes] = {
            "TCPREMOTEIP": peer.ip.encode(),
            **named,
            # Our own name stands for TCPLOCALHOST.
            "TCPLOCALHOST": policy.greeting.split(b" ", 1)[0] or b"0",
            **rule.variables,
        }
        client = read_client(variables)
        if host.doubtful and self._current_rules.depends_on_host(peer.ip):
            client = replace(client, doubtful=True)
        submission = peer.door == SUBMISSION_DOOR
        if not policy.extensions and not submission:
            return client
        return replace(
            client,
            tls=peer.tls,
            tls_offered=not peer.tls and self._tls_offered,
            auth_offered=plaintext_allowed(
                tls=peer.tls,
                peer_ip=peer.ip,
                address=self.settings.address,
                gateways=self.gateways,
                networks=self._cleartext.current(),
            ),
            auth_required=submission,
        )


def _is_in(ip: str, networks: Iterable[Network]) -> bool:
    return bool(ip) and any(ip_address(ip) in network for network in networks)
