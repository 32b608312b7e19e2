"""The control files that make a Policy, read again when one of them changes."""

from __future__ import annotations

from collections.abc import Set

from qmail.control.bad_addresses import NOBODY
from qmail.control.files import Control, Stamp
from qmail.control.read_routes import read_routes
from qmail.control.table import (
    BADMAILFROM,
    BADRCPTTO,
    DATABYTES,
    LOCALIPHOST,
    LOCALIPS,
    LOCALS,
    MAXRECIPIENTS,
    ME,
    MORERCPTHOSTS,
    QMQPCLIENTS,
    RCPTHOSTS,
    SMTPGREETING,
    TCP_SMTP,
    TCPLOOKUP,
    TIMEOUTSMTPD,
    VIRTUALDOMAINS,
    Taken,
    files_of,
)
from services.smtpd.policy import Policy

LOOPBACK = frozenset({"127.0.0.1"})


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
        qmqp_clients=control.get(QMQPCLIENTS),
        look_up_hosts=control.get(TCPLOOKUP),
        bad_rcpt_to=control.get(BADRCPTTO) if extensions else NOBODY,
    )
