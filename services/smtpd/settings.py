"""What smtpd is started with: the environment, checked, and the control files, checked once more at each start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qmail.control.files import Control
from qmail.control.paths import Paths, read_paths
from qmail.control.rules import Network, NoRule, RuleError, Rules, parse_rules, refuse_relaying_for
from qmail.control.settings import SettingsError, read_address
from qmail.control.table import QMQPCLIENTS, files_of
from qmail.door.cleartext import is_loopback
from qmail.door.listeners import Listener, read_listeners
from qmail.door.processes import parse_processes
from qmail.message.qmqp import PORT
from qmail.role.interfaces import Interface

DEFAULT_SMTP_LISTEN = "0.0.0.0:25"
DEFAULT_QMQP_LISTEN = f"0.0.0.0:{PORT}"
DEFAULT_SUBMISSION_LISTEN = "0.0.0.0:587,0.0.0.0:465"

#: Mail from everywhere, and mail of our own people (RFC 6409): neither takes the other's places.
SMTP_DOOR, SUBMISSION_DOOR = "smtp", "submission"
#: For those alone whom control/qmqpclients lists, and only where it is there at the start.
QMQP_DOOR = "qmqp"
DOORS = (SMTP_DOOR, SUBMISSION_DOOR, QMQP_DOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`submission` listeners demand AUTH (RFC 6409); `contained`: behind an engine's address translation."""

    paths: Paths
    smtp: tuple[Listener, ...]
    submission: tuple[Listener, ...]
    qmqp: tuple[Listener, ...]
    processes: int
    address: str
    contained: bool

    @property
    def local_only(self) -> bool:
        """Whether no other host can connect: what a container listens on is published on ADDRESS."""
        hosts = [self.address] if self.contained else [listener.host for listener in self.smtp + self.submission]
        return all(is_loopback(host) for host in hosts)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """SMTP_LISTEN, SUBMISSION_LISTEN, QMQP_LISTEN, PROCESSES, ADDRESS, QMAIL_DIR. Raises SettingsError."""
    paths = read_paths(environ)
    qmqp = environ.get("QMQP_LISTEN", DEFAULT_QMQP_LISTEN) if (paths.control / QMQPCLIENTS.name).exists() else ""
    return Settings(
        paths=paths,
        smtp=_listeners(environ, "SMTP_LISTEN", DEFAULT_SMTP_LISTEN, SMTP_DOOR),
        submission=_listeners(environ, "SUBMISSION_LISTEN", DEFAULT_SUBMISSION_LISTEN, SUBMISSION_DOOR),
        qmqp=_listeners({"QMQP_LISTEN": qmqp}, "QMQP_LISTEN", "", QMQP_DOOR),
        processes=_processes(environ.get("PROCESSES", "1")),
        address=read_address(environ),
        contained=not environ.get("QMAIL_DIR"),
    )


def _listeners(environ: Mapping[str, str], name: str, default: str, door: str) -> tuple[Listener, ...]:
    try:
        return read_listeners(environ.get(name, default), environ, door)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


def _processes(text: str) -> int:
    try:
        return parse_processes(text)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def check(settings: Settings, interfaces: Iterable[Interface]) -> None:
    """Refuse a configuration that cannot work or would relay for strangers.

    Raises SettingsError, all faults at once.
    """
    faults = Control(settings.paths.control).faults(files_of("smtpd"))
    try:
        read_rules(settings, interfaces)
    except RuleError as error:
        # A line that is no rule is told already.
        if not isinstance(error.__cause__, NoRule):
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))


def own_networks(interfaces: Iterable[Interface]) -> tuple[Network, ...]:
    """The networks that this machine is in; of a container, no client's."""
    return tuple(each.network for each in interfaces if not each.ip.is_loopback)


def read_rules(settings: Settings, interfaces: Iterable[Interface]) -> Rules:
    """tcp.smtp, no rules where there is no such file. Raises RuleError for a bad or dangerous one."""
    path = settings.paths.tcp_smtp
    try:
        rules = parse_rules(path.read_bytes())
        if settings.contained:
            refuse_relaying_for(rules, own_networks(interfaces))
    except FileNotFoundError:
        return Rules()
    except OSError as error:
        raise RuleError(f"{path}: {error.strerror}; expected a readable file") from error
    except RuleError as error:
        raise RuleError(f"{path}: {error}") from error
    return rules
