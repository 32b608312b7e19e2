"""What the control files allow: one immutable Policy for a session, and the decisions that qmail-smtpd takes by it.

Source: qmail-smtpd(8), qmail-control(5).
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from qmail.control.files import Control, Stamp
from qmail.control.routing import Routes, read_routes
from qmail.control.table import (
    BADMAILFROM,
    DATABYTES,
    LOCALIPHOST,
    LOCALIPS,
    LOCALS,
    MAXRECIPIENTS,
    ME,
    MORERCPTHOSTS,
    RCPTHOSTS,
    SMTPGREETING,
    TCP_SMTP,
    TIMEOUTSMTPD,
    VIRTUALDOMAINS,
    Taken,
    files_of,
)
from qmail.message.address import Address, domain_and_parents

LOOPBACK = frozenset({"127.0.0.1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The control files' contents at one moment. `databytes` 0 is no limit; `rcpthosts` None lets everything in.

    `rcpthosts_missing`: there is no such file, and `rcpthosts` holds our own domains instead (features 101).
    `routes`: the queue's; None where nobody is asked whether a recipient exists, as by qmail-smtpd."""

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
    routes: Routes | None

    def is_bad_sender(self, sender: Address) -> bool:
        """badmailfrom: the whole address, or `@domain` (bmfcheck in qmail-smtpd.c)."""
        if not self.bad_mail_from:
            return False
        if sender.raw.lower() in self.bad_mail_from:
            return True
        return sender.domain is not None and b"@" + sender.domain.lower() in self.bad_mail_from

    def is_in_rcpthosts(self, recipient: Address) -> bool:
        """rcpthosts and morercpthosts: the domain, or `.domain` for what lies below it (rcpthosts.c).

        An address without a domain is ours. None, the open relay of qmail 1.03 without the file, is possible only
        where its exact answers are asked for (extensions none)."""
        if recipient.domain is None:
            return self._is_own_name(recipient)
        return self._is_accepted(recipient.domain.lower())

    def _is_own_name(self, name: Address) -> bool:
        """Whether what has no domain is ours by envnoathost. A `%` in it asks for a way out of the house."""
        if self.routes is None:
            return True
        return b"%" not in name.raw and (self.is_local(name) or self._is_accepted(self.routes.envnoathost.lower()))

    def _is_accepted(self, host: bytes) -> bool:
        if self.rcpthosts is None or host in self.rcpthosts:
            return True
        return any(name in self.rcpthosts for name in domain_and_parents(host))

    def is_local(self, recipient: Address) -> bool:
        """Whether delivery-local knows this recipient: by locals, virtualdomains, percenthack or envnoathost."""
        return self.routes is not None and self.routes.is_local(recipient)


class PolicyReader:
    """The current Policy; files are read again only when stat says that one of them changed."""

    # The door takes its limits with each new Policy, and the rules by themselves.
    WATCHED = tuple(file for file in files_of("smtpd", Taken.CONNECTION) if file is not TCP_SMTP)

    def __init__(self, control: Control, own_ips: Set[str] = frozenset()) -> None:
        self._control = control
        self._own_ips = own_ips
        self._stamps: tuple[Stamp, ...] | None = None
        self._policy: Policy | None = None

    def current(self) -> Policy:
        """Raises ControlError where a file cannot be read: the client then gets a 421, not a wrong guess."""
        stamps = self._control.stamps(self.WATCHED)
        if self._policy is None or stamps != self._stamps:
            self._policy = read_policy(self._control, self._own_ips)
            self._stamps = stamps
        return self._policy


def read_policy(control: Control, own_ips: Set[str] = frozenset()) -> Policy:
    """All files at once.

    `own_ips` count as if localips named them. Raises ControlError (file and what was expected).
    """
    extensions = not control.exact()
    virtual = control.get(VIRTUALDOMAINS).keys()
    me = control.own(ME)
    own = control.get(LOCALS)
    if own is None:
        own = frozenset({me.lower()} if me else ())
    rcpthosts = control.get(RCPTHOSTS)
    missing = rcpthosts is None and extensions
    if missing:
        rcpthosts = own | virtual
    elif rcpthosts is not None:
        # qmail reads morercpthosts only beside rcpthosts; ours is the text, no cdb is needed.
        rcpthosts = rcpthosts | control.get(MORERCPTHOSTS)
    local_ip_host, listed = control.own(LOCALIPHOST), control.get(LOCALIPS)
    return Policy(
        greeting=control.get(SMTPGREETING),
        extensions=extensions,
        timeout_seconds=control.get(TIMEOUTSMTPD),
        databytes=control.get(DATABYTES),
        max_recipients=control.get(MAXRECIPIENTS),
        local_ip_host=(me or b"") if local_ip_host is None else local_ip_host,
        local_ips=LOOPBACK | own_ips | (listed or frozenset()),
        bad_mail_from=control.get(BADMAILFROM),
        rcpthosts=rcpthosts,
        rcpthosts_missing=missing,
        routes=read_routes(control) if extensions else None,
    )
