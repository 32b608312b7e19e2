"""Which channel a recipient goes to, and as what address: locals, virtualdomains, percenthack, envnoathost.

Source: qmail-send(8) and qmail-send.c rewrite().
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmail.control.files import Control
from qmail.control.table import ENVNOATHOST, LOCALS, ME, PERCENTHACK, VIRTUALDOMAINS

LOCAL = "local"
REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Route:
    """The channel and the address that the delivery program is given."""

    channel: str
    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The control files that decide, read together; keys are lower case."""

    locals: frozenset[bytes]
    virtualdomains: Mapping[bytes, bytes]
    percenthack: frozenset[bytes]
    envnoathost: bytes

    def route(self, recipient: bytes) -> Route:
        """Where a recipient of an envelope goes."""
        local, domain = self._rewritten(recipient)
        address = local + b"@" + domain
        if domain.lower() in self.locals:
            return Route(LOCAL, address)
        prefix = self._prefix(address, len(local)) if self.virtualdomains else b""
        if prefix:
            return Route(LOCAL, prefix + b"-" + address)
        return Route(REMOTE, address)

    def is_local(self, recipient: bytes) -> bool:
        """Whether `route` would say LOCAL."""
        local, domain = self._rewritten(recipient)
        if domain.lower() in self.locals:
            return True
        return bool(self.virtualdomains and self._prefix(local + b"@" + domain, len(local)))

    def _rewritten(self, recipient: bytes) -> tuple[bytes, bytes]:
        """Local part and domain, after envnoathost and percenthack."""
        local, at, domain = recipient.rpartition(b"@")
        if not at:
            local, domain = recipient, self.envnoathost
        if self.percenthack:
            while domain.lower() in self.percenthack and b"%" in local:
                local, _, domain = local.rpartition(b"%")
        return local, domain

    def _prefix(self, address: bytes, at: int) -> bytes:
        """The value of the first key that fits: the whole address, the domain, .parents, the empty key."""
        folded = address.lower()
        starts = [0, at + 1]
        starts += [i for i in range(at + 2, len(folded)) if folded[i : i + 1] == b"."]
        starts.append(len(folded))
        for start in starts:
            found = self.virtualdomains.get(folded[start:])
            if found is not None:
                return found
        return b""

    def without_prefix(self, address: bytes) -> bytes:
        """The address as the sender knew it, without a virtual domain's prefix (for bounces)."""
        at = address.rfind(b"@")
        if at < 0 or address[at + 1 :].lower() in self.locals:
            return address
        folded = address.lower()
        for start in self._ends(folded, at):
            prefix = self.virtualdomains.get(folded[start:])
            if prefix is None:
                continue
            if prefix and folded.startswith(prefix.lower() + b"-"):
                return address[len(prefix) + 1 :]
            return address
        return address

    @staticmethod
    def _ends(folded: bytes, at: int) -> list[int]:
        dots = [i for i in range(at + 2, len(folded)) if folded[i : i + 1] == b"."]
        return [at + 1, *dots, len(folded)]


def read_routes(control: Control) -> Routes:
    """The routes of a deployment. Raises ControlError where a file is not fit to be read or control/me is missing."""
    me = control.get(ME)
    names = control.get(LOCALS)
    return Routes(
        locals=names if names is not None else frozenset({me.lower()}),
        virtualdomains=control.get(VIRTUALDOMAINS),
        percenthack=control.get(PERCENTHACK),
        envnoathost=control.get(ENVNOATHOST),
    )
