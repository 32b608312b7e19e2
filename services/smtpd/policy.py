"""What the control files allow: one immutable Policy for a session, and the decisions that qmail-smtpd takes by it.

Control files: badmailfrom, databytes, extensions, localiphost, localips, locals, maxrecipients, me, morercpthosts,
rcpthosts, smtpgreeting, timeoutsmtpd, virtualdomains (qmail-smtpd(8), qmail-control(5)). localips, extensions and
maxrecipients are ours.
"""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass

from qmail.control import Control, ControlError

# RFC 5321 4.5.3.2.7 asks for five minutes; qmail's twenty are kept where its answers are asked for.
DEFAULT_TIMEOUT_SECONDS = 300
QMAIL_TIMEOUT_SECONDS = 1200
DEFAULT_MAX_RECIPIENTS = 1000
LOOPBACK = frozenset({"127.0.0.1"})

# The door takes its limits, the two concurrency files, with each new Policy: they are watched here too.
_FILES = (
    "badmailfrom concurrencyincoming concurrencyperip databytes extensions localiphost localips locals maxrecipients "
    "me morercpthosts rcpthosts smtpgreeting timeoutsmtpd virtualdomains"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The control files' contents at one moment. `databytes` 0 is no limit; `rcpthosts` None lets everything in.

    `rcpthosts_missing`: there is no such file, and `rcpthosts` holds our own domains instead (features 101)."""

    greeting: bytes
    extensions: bool
    timeout_seconds: int
    databytes: int
    max_recipients: int
    local_ip_host: bytes
    local_ips: Set[str]
    bad_mail_from: Set[bytes]
    rcpthosts: Set[bytes] | None
    rcpthosts_missing: bool
    locals: Set[bytes]

    def is_bad_sender(self, sender: bytes) -> bool:
        """badmailfrom: the whole address, or `@domain` (bmfcheck in qmail-smtpd.c)."""
        if not self.bad_mail_from:
            return False
        lowered = sender.lower()
        _, at, domain = lowered.rpartition(b"@")
        return lowered in self.bad_mail_from or (bool(at) and at + domain in self.bad_mail_from)

    def is_in_rcpthosts(self, recipient: bytes) -> bool:
        """rcpthosts and morercpthosts: the domain, or `.domain` for what lies below it (rcpthosts.c).

        An address without a domain is ours. None, the open relay of qmail 1.03 without the file, is possible only
        where its exact answers are asked for (extensions none)."""
        _, at, domain = recipient.rpartition(b"@")
        if not at:
            return True
        if self.rcpthosts is None:
            return True
        host = domain.lower()
        if host in self.rcpthosts:
            return True
        dot = host.find(b".", 1)
        while dot >= 0:
            if host[dot:] in self.rcpthosts:
                return True
            dot = host.find(b".", dot + 1)
        return False

    def is_local(self, recipient: bytes) -> bool:
        """Whether delivery-local knows this recipient: a domain in locals and not in virtualdomains."""
        _, at, domain = recipient.rpartition(b"@")
        return bool(at) and domain.lower() in self.locals


class PolicyReader:
    """The current Policy; files are read again only when stat says that one of them changed."""

    def __init__(self, control: Control, own_ips: Set[str] = frozenset()) -> None:
        self._control = control
        self._own_ips = own_ips
        self._paths = [os.fspath(control.directory / name) for name in _FILES]
        self._stamp: tuple[object, ...] | None = None
        self._policy: Policy | None = None

    def current(self) -> Policy:
        """Raises ControlError where a file cannot be read: the client then gets a 421, not a wrong guess."""
        stamp = tuple([_stamp(path) for path in self._paths])
        if self._policy is None or stamp != self._stamp:
            self._policy = read_policy(self._control, self._own_ips)
            self._stamp = stamp
        return self._policy


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror}; expected a readable file") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_policy(control: Control, own_ips: Set[str] = frozenset()) -> Policy:
    """All files at once.

    `own_ips` count as if localips named them. Raises ControlError (file and what was expected).
    """
    extensions = not control.exact()
    virtual = {line.partition(b":")[0].lower() for line in control.lines("virtualdomains") or ()}
    me = control.line("me")
    local_names = control.lines("locals")
    if local_names is None:
        local_names = [me] if me else []
    own = frozenset(name.lower() for name in local_names)
    rcpthosts = _lowered(control.lines("rcpthosts"))
    missing = rcpthosts is None and extensions
    if missing:
        rcpthosts = own | virtual
    elif rcpthosts is not None:
        # qmail reads morercpthosts only beside rcpthosts; ours is the text, no cdb is needed.
        rcpthosts = rcpthosts | (_lowered(control.lines("morercpthosts")) or frozenset())
    local_ip_host = control.line("localiphost")
    timeout = control.number("timeoutsmtpd", DEFAULT_TIMEOUT_SECONDS if extensions else QMAIL_TIMEOUT_SECONDS)
    return Policy(
        greeting=control.line_or_me("smtpgreeting"),
        extensions=extensions,
        timeout_seconds=max(1, timeout),
        databytes=control.number("databytes", 0),
        max_recipients=max(1, control.number("maxrecipients", DEFAULT_MAX_RECIPIENTS)),
        local_ip_host=(me or b"") if local_ip_host is None else local_ip_host,
        local_ips=LOOPBACK | own_ips | {line.decode("latin-1").strip() for line in control.lines("localips") or ()},
        bad_mail_from=_lowered(control.lines("badmailfrom")) or frozenset(),
        rcpthosts=rcpthosts,
        rcpthosts_missing=missing,
        locals=own - virtual,
    )


def _lowered(lines: list[bytes] | None) -> frozenset[bytes] | None:
    return None if lines is None else frozenset(line.lower() for line in lines)
