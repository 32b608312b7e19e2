"""Which addresses to try, in which order: preferences, our own addresses, literals. Pure.

Source: RFC 5321 5.1, RFC 7505 (null MX), qmail-remote(8) and dns.c for the details.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

# Preferences are 16 bits; these mean "however preferred", as in qmail-remote.
_NEVER_MINE = 100_000

# A hostile zone cannot make us look up or try more than this.
MAX_EXCHANGERS = 100
MAX_ADDRESSES = 40
_UNSPECIFIED = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One MX record; `name` without the final dot, empty for the root (null MX)."""

    preference: int
    name: bytes


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A literal address to connect to, of the host `name`."""

    ip: str
    preference: int
    name: bytes


def is_null_mx(exchangers: Sequence[Exchanger]) -> bool:
    """Whether the domain says that it takes no mail: one MX, whose name is the root (RFC 7505 3)."""
    return len(exchangers) == 1 and not exchangers[0].name


def order_exchangers(exchangers: Iterable[Exchanger], rng: random.Random) -> list[Exchanger]:
    """By preference, equal ones in random order (RFC 5321 5.1)."""
    shuffled = list(exchangers)
    rng.shuffle(shuffled)
    return sorted(shuffled, key=lambda exchanger: exchanger.preference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ourselves:
    """How this host appears in other people's zones: its addresses, and names in lower case."""

    addresses: frozenset[str]
    names: frozenset[bytes] = frozenset()

    def is_at(self, address: HostAddress) -> bool:
        """Whether whoever connects to the address reaches us."""
        return address.ip in self.addresses or address.name.lower().removesuffix(b".") in self.names


def known_as(addresses: Collection[str], names: Iterable[bytes]) -> Ourselves:
    """0.0.0.0 and :: lead to the host that connects, whoever it is. Behind address translation, where a public address
    is not ours to see, an exchanger is us by its name."""
    return Ourselves(addresses=frozenset(addresses) | _UNSPECIFIED, names=frozenset(name.lower() for name in names))


def usable_addresses(addresses: Sequence[HostAddress], ourselves: Ourselves) -> list[HostAddress]:
    """The addresses that are preferred over ourselves: we exclude all that are not better.

    Empty where we are the best: mail would loop (qmail's best-preference rule)."""
    mine = min((address.preference for address in addresses if ourselves.is_at(address)), default=_NEVER_MINE)
    return [address for address in addresses if address.preference < mine][:MAX_ADDRESSES]
