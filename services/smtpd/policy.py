"""What the control files allow: one immutable Policy for a session, and the decisions that qmail-smtpd takes by it.

Source: qmail-smtpd(8), qmail-control(5). Pure.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from qmail.control.bad_addresses import NOBODY, BadAddresses, render_outside
from qmail.control.kinds import Network
from qmail.control.routing import Routes
from qmail.message.address import Address, domain_and_parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The control files' contents at one moment. `databytes` 0 is no limit; `rcpthosts` None lets everything in.

    `rcpthosts_missing`: there is no such file, and `rcpthosts` holds our own domains instead (features 101).
    `routes`: the queue's; None where nobody is asked whether a recipient exists, as by qmail-smtpd.
    `qmqp_clients`: who may hand over mail by QMQP. `look_up_hosts`: whether each client's name is looked up."""

    greeting: bytes
    extensions: bool
    timeout_seconds: int
    databytes: int
    max_recipients: int
    local_ip_host: bytes
    local_ips: Set[str]
    bad_mail_from: BadAddresses
    rcpthosts: Set[bytes] | None
    rcpthosts_missing: bool
    routes: Routes | None
    look_up_hosts: bool = False
    bad_rcpt_to: BadAddresses = NOBODY
    qmqp_clients: tuple[Network, ...] = ()

    def senders_in_badrcptto(self) -> str | None:
        """A warning about entries that only a sender can be meant by."""
        if not self.bad_rcpt_to or self.rcpthosts is None:
            return None
        own = self.routes.locals | self.routes.virtualdomains.keys() if self.routes else frozenset()
        return render_outside(self.bad_rcpt_to.outside(self.rcpthosts | own))

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
