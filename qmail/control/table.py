"""All control files: one row a file. Reading, checking, watching, `qmailctl check` and `showctl`, and the table of
chapter 5.2.2 come from here; a role reads a file by its row, `control.get(DATABYTES)`.

A new control file is one row, and the line that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from qmail.control.bad_addresses import NOBODY, BadAddresses
from qmail.control.kinds import (
    ACCOUNTS,
    HOSTS,
    ROUTES,
    VIRTUAL_DOMAINS,
    Addresses,
    AuthDaemonRc,
    BadAddressList,
    ClientRules,
    Fault,
    HostName,
    Instructions,
    Kind,
    Line,
    ModuleNames,
    Names,
    Network,
    Networks,
    Number,
    Presence,
    PythonClass,
    Servers,
    Switch,
)
from qmail.control.rules import Rules
from qmail.message.qmqp import PORT

T_co = TypeVar("T_co", covariant=True)

OURS = "ours"


class Taken(StrEnum):
    """When a role takes a changed file."""

    CONNECTION = "each connection"
    LOGIN = "each log-in"
    MESSAGE = "each message"
    RELOAD = "reload"
    START = "start"


@dataclass(frozen=True, slots=True)
class Use:
    """Who reads a file, and when."""

    role: str
    taken: Taken


_SMTPD = Use("smtpd", Taken.CONNECTION)
_QUEUE = Use("queue", Taken.RELOAD)
_BOUNCE = Use("bounce", Taken.MESSAGE)
_LOCAL = Use("delivery-local", Taken.MESSAGE)
_REMOTE = Use("delivery-remote", Taken.MESSAGE)
_POP3 = Use("pop3", Taken.CONNECTION)
_AUTH = Use("auth", Taken.LOGIN)
_INJECT = Use("inject", Taken.MESSAGE)
_ADMIN = Use("admin", Taken.MESSAGE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlFile(Generic[T_co]):
    """One control file.

    stands_in: whose value is taken where there is none; `required`: without one nothing works.
    default: the value after that; as_qmail: qmail's own, where control/extensions is `none` and it is another.
    manual: where qmail describes it; `ours` has no letter of qmail to be read by.
    without: the default in words, where the value does not say it.
    sentence, unset: as qmail-showctl(8) says a value, or each line; and that there is none.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    as_qmail: T_co | None = None
    stands_in: ControlFile[Any] | None = None
    required: bool = False
    uses: tuple[Use, ...]
    manual: str
    says: str
    without: str = ""
    sentence: str
    unset: str = ""

    @property
    def of_qmail(self) -> bool:
        """Whether qmail 1.03 has it."""
        return self.manual != OURS

    def parse(self, content: bytes, *, exact: bool) -> T_co | Fault | None:
        """What the content means; `exact`: to qmail's letter, where the file is qmail's."""
        return self.kind.parse_as_qmail(content) if exact and self.of_qmail else self.kind.parse(content)


# --- qmail's own, qmail-control(5) ---

ME: ControlFile[bytes] = ControlFile(
    name="me",
    kind=HostName("this host's name, as in mail.xeris.com"),
    default=b"",
    required=True,
    uses=(_SMTPD, _QUEUE, _BOUNCE, _LOCAL, _REMOTE, _POP3, _AUTH, _INJECT, _ADMIN),
    manual="qmail-control(5)",
    says="this host's name; it stands in for other names",
    without="nothing starts",
    sentence="My name is {}.",
    unset="My name is undefined! Uh-oh.",
)
BADMAILFROM: ControlFile[BadAddresses] = ControlFile(
    name="badmailfrom",
    kind=BadAddressList(),
    default=NOBODY,
    uses=(_SMTPD, _ADMIN),
    manual="qmail-smtpd(8)",
    says="senders, or @domains of senders, that are refused; `*`, `?` and a `!` before what is spared as in badrcptto",
    without="none",
    sentence="{} not accepted in MAIL FROM.",
    unset="Any MAIL FROM is allowed.",
)
BOUNCEFROM: ControlFile[bytes] = ControlFile(
    name="bouncefrom",
    kind=Line("the part before the @ of an address"),
    default=b"MAILER-DAEMON",
    uses=(_BOUNCE,),
    manual="qmail-send(8)",
    says="who bounces come from",
    sentence="Bounce user name is {}.",
)
BOUNCEHOST: ControlFile[bytes] = ControlFile(
    name="bouncehost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_BOUNCE,),
    manual="qmail-send(8)",
    says="the host that bounces come from",
    sentence="Bounce host name is {}.",
)
CONCURRENCYLOCAL: ControlFile[int] = ControlFile(
    name="concurrencylocal",
    kind=Number("deliveries"),
    default=10,
    uses=(_QUEUE,),
    manual="qmail-send(8)",
    says="local deliveries at once",
    sentence="Local concurrency is {}.",
)
CONCURRENCYREMOTE: ControlFile[int] = ControlFile(
    name="concurrencyremote",
    kind=Number("deliveries"),
    default=20,
    uses=(_QUEUE,),
    manual="qmail-send(8)",
    says="remote deliveries at once",
    sentence="Remote concurrency is {}.",
)
DATABYTES: ControlFile[int] = ControlFile(
    name="databytes",
    kind=Number("bytes"),
    # The first start writes 25 MB. Whoever removed the file took qmail at its word.
    default=0,
    uses=(_SMTPD, Use("imap", Taken.MESSAGE), _LOCAL, _ADMIN),
    manual="qmail-smtpd(8)",
    says="the largest message, in bytes, whichever way it comes; 0 for any",
    without="no limit; first start writes 25 MB",
    sentence="SMTP DATA limit is {} bytes.",
)
DEFAULTDOMAIN: ControlFile[bytes] = ControlFile(
    name="defaultdomain",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_INJECT, Use("smtpd", Taken.START), Use("queue", Taken.START), Use("delivery-remote", Taken.START), _ADMIN),
    manual="qmail-inject(8)",
    says="the domain of host names without a dot; it is also looked up to see whether names can be",
    sentence="Default domain name is {}.",
)
DEFAULTHOST: ControlFile[bytes] = ControlFile(
    name="defaulthost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_INJECT,),
    manual="qmail-inject(8)",
    says="the host of addresses without one",
    sentence="Default host name is {}.",
)
DOUBLEBOUNCEHOST: ControlFile[bytes] = ControlFile(
    name="doublebouncehost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_BOUNCE,),
    manual="qmail-send(8)",
    says="where bounces go that bounce: the host",
    sentence="2B recipient host: {}.",
)
DOUBLEBOUNCETO: ControlFile[bytes] = ControlFile(
    name="doublebounceto",
    kind=Line("the part before the @ of an address"),
    default=b"postmaster",
    uses=(_BOUNCE,),
    manual="qmail-send(8)",
    says="where bounces go that bounce: the user",
    sentence="2B recipient user: {}.",
)
ENVNOATHOST: ControlFile[bytes] = ControlFile(
    name="envnoathost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_SMTPD, _QUEUE, _LOCAL, _REMOTE),
    manual="qmail-send(8)",
    says="the host of recipients without one",
    sentence="Presumed domain name is {}.",
)
HELOHOST: ControlFile[bytes] = ControlFile(
    name="helohost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_REMOTE,),
    manual="qmail-remote(8)",
    says="how we greet other hosts",
    sentence="SMTP client HELO host name is {}.",
)
IDHOST: ControlFile[bytes] = ControlFile(
    name="idhost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_INJECT,),
    manual="qmail-inject(8)",
    says="the host in Message-IDs",
    sentence="Message-ID host name is {}.",
)
LOCALIPHOST: ControlFile[bytes] = ControlFile(
    name="localiphost",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_SMTPD,),
    manual="qmail-smtpd(8)",
    says="what stands for [our address] in a recipient",
    sentence="Local IP address becomes {}.",
)
LOCALS: ControlFile[frozenset[bytes] | None] = ControlFile(
    name="locals",
    kind=Names(),
    default=None,
    uses=(_QUEUE, _SMTPD, _LOCAL, _REMOTE, _AUTH, _ADMIN),
    manual="qmail-send(8)",
    says="domains whose mail is delivered here",
    without="`me`",
    sentence="Messages for {} are delivered locally.",
    unset="Messages for me are delivered locally.",
)
MORERCPTHOSTS: ControlFile[frozenset[bytes]] = ControlFile(
    name="morercpthosts",
    kind=Names("one domain, or .domain"),
    default=frozenset(),
    uses=(_SMTPD,),
    manual="qmail-smtpd(8)",
    says="more of rcpthosts; read as text, no cdb is needed",
    without="none",
    sentence="SMTP clients may send messages to recipients at {}.",
    unset="No effect.",
)
PERCENTHACK: ControlFile[frozenset[bytes]] = ControlFile(
    name="percenthack",
    kind=Names(),
    default=frozenset(),
    uses=(_SMTPD, _QUEUE, _LOCAL),
    manual="qmail-send(8)",
    says="domains where user%host is meant for user@host",
    without="none",
    sentence="The percent hack is allowed for user%host@{}.",
    unset="The percent hack is not allowed.",
)
PLUSDOMAIN: ControlFile[bytes] = ControlFile(
    name="plusdomain",
    kind=HostName(),
    default=b"",
    stands_in=ME,
    uses=(_INJECT,),
    manual="qmail-inject(8)",
    says="the domain of host names that end in +",
    sentence="Plus domain name is {}.",
)
QMQPSERVERS: ControlFile[tuple[tuple[str, int], ...]] = ControlFile(
    name="qmqpservers",
    kind=Servers(PORT),
    default=(),
    uses=(_REMOTE, _INJECT),
    manual="qmail-qmqpc(8)",
    says="hosts that take all mail for other domains by QMQP, asked in turn; smtproutes and MX are not looked at then",
    without="none: mail goes by SMTP",
    sentence="QMQP server: {}.",
    unset="No QMQP servers.",
)
QUEUELIFETIME: ControlFile[int] = ControlFile(
    name="queuelifetime",
    kind=Number("seconds"),
    default=604_800,
    uses=(_QUEUE,),
    manual="qmail-send(8)",
    says="seconds that a message is tried before it bounces",
    sentence="Message lifetime in the queue is {} seconds.",
)
RCPTHOSTS: ControlFile[frozenset[bytes] | None] = ControlFile(
    name="rcpthosts",
    kind=Names("one domain, or .domain"),
    default=None,
    uses=(_SMTPD, _ADMIN),
    manual="qmail-smtpd(8)",
    says="domains that strangers may send to",
    without="locals and virtualdomains alone (qmail: an open relay)",
    sentence="SMTP clients may send messages to recipients at {}.",
    unset="SMTP clients may send messages to recipients of locals and virtualdomains.",
)
SMTPGREETING: ControlFile[bytes] = ControlFile(
    name="smtpgreeting",
    kind=Line(),
    default=b"",
    stands_in=ME,
    uses=(_SMTPD,),
    manual="qmail-smtpd(8)",
    says="what smtpd greets with, this host's name first",
    sentence="SMTP greeting: 220 {}.",
)
SMTPROUTES: ControlFile[dict[bytes, bytes]] = ControlFile(
    name="smtproutes",
    kind=ROUTES,
    default={},
    uses=(_REMOTE,),
    manual="qmail-remote(8)",
    says="where mail for a domain goes instead of its MX; who logs in there, and what TLS it needs "
    "([a provider's smarthost](6-running.md#a-providers-smarthost))",
    without="the MX",
    sentence="SMTP route: {}",
    unset="No artificial SMTP routes.",
)
TIMEOUTCONNECT: ControlFile[int] = ControlFile(
    name="timeoutconnect",
    kind=Number("seconds", least=1),  # 0 would mean that no answer is ever in time
    default=60,
    uses=(_REMOTE,),
    manual="qmail-remote(8)",
    says="seconds for a connection to another host",
    sentence="SMTP client connection timeout is {} seconds.",
)
TIMEOUTREMOTE: ControlFile[int] = ControlFile(
    name="timeoutremote",
    kind=Number("seconds", least=1),
    default=1200,
    uses=(_REMOTE,),
    manual="qmail-remote(8)",
    says="seconds for each answer of another host",
    sentence="SMTP client data timeout is {} seconds.",
)
TIMEOUTSMTPD: ControlFile[int] = ControlFile(
    name="timeoutsmtpd",
    kind=Number("seconds", least=1),
    # RFC 5321 4.5.3.2.7 asks for five minutes; qmail's twenty are kept where its answers are asked for.
    default=300,
    as_qmail=1200,
    uses=(_SMTPD,),
    manual="qmail-smtpd(8)",
    says="seconds that smtpd waits for a client",
    sentence="SMTP server data timeout is {} seconds.",
)
VIRTUALDOMAINS: ControlFile[dict[bytes, bytes]] = ControlFile(
    name="virtualdomains",
    kind=VIRTUAL_DOMAINS,
    default={},
    uses=(_QUEUE, _SMTPD, _LOCAL, _ADMIN),
    manual="qmail-send(8)",
    says="domains, or addresses, that belong to one user",
    without="none",
    sentence="Virtual domain: {}",
    unset="No virtual domains.",
)

# --- ours ---

AUTHFRONTENDS: ControlFile[tuple[Network, ...]] = ControlFile(
    name="authfrontends",
    kind=Networks(),
    default=(),
    uses=(_AUTH, Use("imap", Taken.LOGIN)),
    manual=OURS,
    says="webmails and balancers through which many people log in: no address of theirs is slowed for wrong passwords, "
    "and in IMAP the client's address that they tell (`ID`, `x-originating-ip`) is believed",
    without="none",
    sentence="{} logs in for many people.",
    unset="No address logs in for many people.",
)
AUTHCUSTOM: ControlFile[bytes] = ControlFile(
    name="authcustom",
    kind=Line("a program by its whole path, and its arguments"),
    default=b"",
    uses=(Use("auth", Taken.START),),
    manual=OURS,
    says="the program of the module `authcustom`, with checkpassword's interface ([chapter 7](7-imap.md))",
    without="no program",
    sentence="authcustom asks {}.",
    unset="authcustom asks no program.",
)
AUTHDAEMONRC: ControlFile[tuple[bytes, ...]] = ControlFile(
    name="authdaemonrc",
    kind=AuthDaemonRc(),
    default=(),
    uses=(Use("auth", Taken.START),),
    manual=OURS,
    says="Courier's file ([chapter 7](7-imap.md)): its `authmodulelist` counts where there is no file of that name",
    without="no effect",
    sentence="Courier's authdaemonrc names {}.",
    unset="No effect.",
)
AUTHMODULELIST: ControlFile[tuple[bytes, ...]] = ControlFile(
    name="authmodulelist",
    kind=ModuleNames(),
    default=(b"authuserdb",),
    stands_in=AUTHDAEMONRC,
    uses=(Use("auth", Taken.START),),
    manual=OURS,
    says="where passwords are, tried in order: `authuserdb` (useradd's), `authpam` and more ([chapter 7](7-imap.md))",
    without="`authdaemonrc`, else authuserdb",
    sentence="Passwords are looked for in {}.",
)
BADRCPTTO: ControlFile[BadAddresses] = ControlFile(
    name="badrcptto",
    kind=BadAddressList(),
    default=NOBODY,
    uses=(_SMTPD, _ADMIN),
    manual=OURS,
    says="recipients, or @domains, to which nobody may send by SMTP ([chapter 6.7](6-running.md)); senders are "
    "`badmailfrom`'s",
    without="none",
    sentence="{} not accepted in RCPT TO.",
    unset="Any RCPT TO is allowed.",
)
BOUNCEMAXBYTES: ControlFile[int] = ControlFile(
    name="bouncemaxbytes",
    kind=Number("bytes"),
    default=0,
    uses=(_BOUNCE,),
    manual=OURS,
    says="bytes that a bounce copies of the message: the header whole, the body up to here; 0 for any",
    without="no limit; first start writes 50000",
    sentence="Bounces copy {} bytes of the message.",
    unset="Bounces copy the whole message.",
)
CLEARTEXTNETS: ControlFile[tuple[Network, ...]] = ControlFile(
    name="cleartextnets",
    kind=Networks(),
    default=(),
    uses=(_SMTPD, _POP3, Use("imap", Taken.CONNECTION)),
    manual=OURS,
    says="networks from which people may log in without TLS, for all to read ([chapter 8](8-clients.md))",
    without="nobody but this machine may",
    sentence="Passwords may come without TLS from {}.",
    unset="Passwords come with TLS alone.",
)
CONCURRENCYIMAP: ControlFile[int] = ControlFile(
    name="concurrencyimap",
    kind=Number("connections", least=1),
    default=1000,  # Courier's MAXDAEMONS was 40, for another time
    uses=(Use("imap", Taken.START),),
    manual=OURS,
    says="imap clients at once",
    sentence="IMAP concurrency is {}.",
)
CONCURRENCYIMAPPERIP: ControlFile[int] = ControlFile(
    name="concurrencyimapperip",
    kind=Number("connections", least=1),
    default=20,  # Courier's MAXPERIP was 4: too few for today's mail programs
    uses=(Use("imap", Taken.START),),
    manual=OURS,
    says="imap clients at once from one address",
    sentence="IMAP concurrency of one address is {}.",
)
CONCURRENCYINCOMING: ControlFile[int] = ControlFile(
    name="concurrencyincoming",
    kind=Number("connections", least=1),
    default=50,
    uses=(_SMTPD,),
    manual=OURS,
    says="clients at once on port 25",
    sentence="SMTP server concurrency is {}.",
)
CONCURRENCYPERIP: ControlFile[int | None] = ControlFile(
    name="concurrencyperip",
    kind=Number("connections", least=1),
    default=None,
    uses=(_SMTPD, Use("pop3", Taken.START)),
    manual=OURS,
    says="the former name of `concurrencysmtpperip` and `concurrencypop3perip`, for whichever is not there",
    without="no effect",
    sentence="Concurrency of one address, where no other is given, is {}.",
    unset="No effect.",
)
CONCURRENCYSMTPPERIP: ControlFile[int | None] = ControlFile(
    name="concurrencysmtpperip",
    kind=Number("connections", least=1),
    default=None,
    stands_in=CONCURRENCYPERIP,
    uses=(_SMTPD,),
    manual=OURS,
    says="clients at once from one address (IPv6: one /64), on port 25 and on 587 with 465 each. Behind the engine's "
    "gateway every IPv6 client and every program of the host itself is one address: give it more if these are many",
    without="half of `concurrencyincoming`, all of it while ADDRESS is a loopback address",
    sentence="SMTP server concurrency of one address is {}.",
    unset="SMTP server concurrency of one address is half of concurrencyincoming, or all where ADDRESS is a loopback "
    "address.",
)
CONCURRENCYSUBMISSION: ControlFile[int | None] = ControlFile(
    name="concurrencysubmission",
    kind=Number("connections", least=1),
    default=None,
    stands_in=CONCURRENCYINCOMING,
    uses=(_SMTPD,),
    manual=OURS,
    says="clients at once on 587 and 465; those of port 25 take none of these places, nor these theirs",
    without="as many as on port 25",
    sentence="SMTP submission concurrency is {}.",
    unset="SMTP submission concurrency is that of port 25.",
)
CONCURRENCYPOP3: ControlFile[int] = ControlFile(
    name="concurrencypop3",
    kind=Number("connections", least=1),
    default=400,
    uses=(Use("pop3", Taken.START),),
    manual=OURS,
    says="pop3 clients at once",
    sentence="POP3 concurrency is {}.",
)
CONCURRENCYPOP3PERIP: ControlFile[int] = ControlFile(
    name="concurrencypop3perip",
    kind=Number("connections", least=1),
    default=100,
    stands_in=CONCURRENCYPERIP,
    uses=(Use("pop3", Taken.START),),
    manual=OURS,
    says="pop3 clients at once from one address",
    sentence="POP3 concurrency of one address is {}.",
)
CONCURRENCYPERUSERIP: ControlFile[int] = ControlFile(
    name="concurrencyperuserip",
    kind=Number("sessions", least=1),
    default=10,  # Dovecot's mail_max_userip_connections
    uses=(Use("pop3", Taken.LOGIN), Use("imap", Taken.LOGIN)),
    manual=OURS,
    says="sessions of one account from one address, in pop3 and in imap each",
    sentence="Sessions of one account from one address: {}.",
)
DEFAULTDELIVERY: ControlFile[bytes] = ControlFile(
    name="defaultdelivery",
    kind=Instructions(),
    default=b"./Maildir/",
    uses=(_LOCAL,),
    manual=OURS,
    says="what is done without a .qmail",
    sentence="Default delivery: {}",
)
EXTENSIONS: ControlFile[bool] = ControlFile(
    name="extensions",
    kind=Switch(b"none"),
    default=False,
    uses=(
        _SMTPD,
        _QUEUE,
        _BOUNCE,
        _LOCAL,
        _REMOTE,
        _POP3,
        Use("imap", Taken.MESSAGE),
        _AUTH,
        _INJECT,
        _ADMIN,
    ),
    manual=OURS,
    says="`none`: SMTP and POP3 as in 1.03, and qmail's control files are read to qmail's letter",
    without="ours",
    sentence="Extensions: {}.",
    unset="SMTP and POP3 have today's extensions.",
)
LOCALIPS: ControlFile[frozenset[str] | None] = ControlFile(
    name="localips",
    kind=Addresses(),
    default=None,
    uses=(_SMTPD, _REMOTE),
    manual=OURS,
    says="who we are: `[address]` of a recipient; an MX that is ourselves",
    without="ADDRESS and the container's own",
    sentence="Our address is {}.",
    unset="Our addresses are ADDRESS and those of the interfaces.",
)
MAXRECIPIENTS: ControlFile[int] = ControlFile(
    name="maxrecipients",
    kind=Number("recipients", least=1),
    default=1000,
    uses=(_SMTPD,),
    manual=OURS,
    says="recipients of a message",
    sentence="Recipients of one message: {}.",
)
NOLOGIN: ControlFile[bool] = ControlFile(
    name="nologin",
    kind=Presence(),
    default=False,
    uses=(_AUTH,),
    manual=OURS,
    says="while it is there, nobody logs in",
    without="people may log in",
    sentence="Nobody may log in.",
    unset="People may log in.",
)
NOTLSHOSTS: ControlFile[frozenset[bytes]] = ControlFile(
    name="notlshosts",
    kind=HOSTS,
    default=frozenset(),
    uses=(_REMOTE,),
    manual=OURS,
    says="domains, MX names and addresses that are sent to without TLS",
    without="none",
    sentence="{} is sent to without TLS.",
    unset="TLS wherever it is offered.",
)
PROGRAMNETWORK: ControlFile[frozenset[bytes]] = ControlFile(
    name="programnetwork",
    kind=ACCOUNTS,
    default=frozenset(),
    uses=(_LOCAL,),
    manual=OURS,
    says="accounts whose programs in `.qmail` may use the network ([chapter 6](6-running.md))",
    without="nobody",
    sentence="Programs of {} may use the network.",
    unset="No program of .qmail may use the network.",
)
QMQPCLIENTS: ControlFile[tuple[Network, ...]] = ControlFile(
    name="qmqpclients",
    kind=Networks(),
    default=(),
    uses=(_SMTPD,),
    manual=OURS,
    says="who may hand over mail for any domain by QMQP, on port 628, where smtpd listens if this file is at its start "
    "([chapter 6](6-running.md#qmqp))",
    without="nobody, and nobody listens",
    sentence="{} may hand over mail by QMQP.",
    unset="Nobody may hand over mail by QMQP.",
)
QUEUEBYTES: ControlFile[int] = ControlFile(
    name="queuebytes",
    kind=Number("bytes"),
    default=0,
    uses=(Use("admin", Taken.START),),
    manual=OURS,
    says="what the bus may store, in bytes",
    without="no limit",
    sentence="The queue may store {} bytes.",
    unset="The queue may store what the disk has.",
)
SMTPDHANDLER: ControlFile[bytes] = ControlFile(
    name="smtpdhandler",
    kind=PythonClass(),
    default=b"",
    uses=(Use("smtpd", Taken.START),),
    manual=OURS,
    says="a handler written for aiosmtpd that smtpd asks, `package.module:Class` ([how](smtpd-handler.md))",
    without="none",
    sentence="SMTP handler: {}.",
    unset="No SMTP handler.",
)
TCPLOOKUP: ControlFile[bool] = ControlFile(
    name="tcplookup",
    kind=Presence(),
    default=False,
    uses=(_SMTPD, _ADMIN),
    manual=OURS,
    says="while it is there, the name of each client is looked up for `Received` and the log, as by tcpserver without "
    "`-H`; rules for `=host` look it up in any case",
    without="names are looked up where a rule of tcp.smtp needs them",
    sentence="The name of each SMTP client is looked up.",
    unset="Names of SMTP clients are looked up where tcp.smtp needs them.",
)
TCP_SMTP: ControlFile[Rules] = ControlFile(
    name="tcp.smtp",
    kind=ClientRules(),
    default=Rules(),
    uses=(_SMTPD,),
    manual=OURS,
    says="the rules of 5.1.8",
    without="everybody may connect, nobody relay",
    sentence="Rule for clients: {}",
    unset="Everybody may connect, nobody relay.",
)

#: Every file: qmail's by name, as qmail-showctl has them (morercpthosts after rcpthosts), then ours by name.
TABLE: tuple[ControlFile[Any], ...] = tuple(
    sorted(
        (row for row in list(globals().values()) if isinstance(row, ControlFile)),
        key=lambda row: (not row.of_qmail, row.name.removeprefix("more"), len(row.name)),
    )
)


def files_of(role: str, *taken: Taken) -> tuple[ControlFile[Any], ...]:
    """The files that a role reads; with `taken`, those that it takes at these times."""
    return tuple(
        file for file in TABLE if any(use.role == role and (not taken or use.taken in taken) for use in file.uses)
    )
