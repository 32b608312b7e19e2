"""Which channel a recipient goes to, and as what address: locals, virtualdomains, percenthack, envnoathost.

Source: qmail-send(8) and qmail-send.c rewrite(). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from qmail.message.address import Address, domain_and_parents
from qmail.message.value import value

LOCAL = "local"
REMOTE = "remote"


@value()
class Route:
    """The channel and the address that the delivery program is given."""

    channel: str
    address: Address


@value(kw_only=True)
class Routes:
    """The control files that decide, read together; keys are lower case."""

    locals: frozenset[bytes]
    virtualdomains: Mapping[bytes, bytes]
    percenthack: frozenset[bytes]
    envnoathost: bytes

    def route(self, recipient: Address) -> Route:
        """Where a recipient of an envelope goes."""
        address, domain = self._rewritten(recipient)
        if domain.lower() in self.locals:
            return Route(LOCAL, address)
        prefix = self._prefix(address, domain)
        return Route(LOCAL, Address(prefix + b"-" + address.raw)) if prefix else Route(REMOTE, address)

    def is_local(self, recipient: Address) -> bool:
        """Whether `route` would say LOCAL."""
        address, domain = self._rewritten(recipient)
        return domain.lower() in self.locals or bool(self._prefix(address, domain))

    def _rewritten(self, recipient: Address) -> tuple[Address, bytes]:
        """The address after envnoathost and percenthack, and its domain, all behind the `%` that became an `@`."""
        local, domain = recipient.local, recipient.domain
        if domain is None:
            domain = self.envnoathost
        if self.percenthack:
            while domain.lower() in self.percenthack and b"%" in local:
                local, _, domain = local.rpartition(b"%")
        return (recipient if domain is recipient.domain else Address.join(local, domain)), domain

    def _prefix(self, address: Address, domain: bytes) -> bytes:
        """The value of the first key that fits: the whole address, the domain, .parents, the empty key."""
        if not self.virtualdomains:
            return b""
        keys = (address.raw.lower(), *domain_and_parents(domain.lower()), b"")
        return next((self.virtualdomains[key] for key in keys if key in self.virtualdomains), b"")

    def without_prefix(self, address: Address) -> Address:
        """The address as the sender knew it, without a virtual domain's prefix (for bounces)."""
        if address.domain is None or address.domain.lower() in self.locals:
            return address
        keys = (*domain_and_parents(address.domain.lower()), b"")
        mark = next((self.virtualdomains[key] for key in keys if key in self.virtualdomains), b"") + b"-"
        if len(mark) > 1 and address.raw.lower().startswith(mark.lower()):
            return Address(address.raw[len(mark) :])
        return address
