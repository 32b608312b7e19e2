"""badmailfrom and badrcptto: addresses that are refused, by entries of one line each. Pure.

An entry is an address, `@domain`, or either with wildcards: `*` for any text, `?` for one character, as qmail's
patches have them (badmailfrom with wildmat of SPAMCONTROL). An entry behind `!` spares what it names. Upper and lower
case are the same. Source: qmail-smtpd(8).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from qmail.message.address import Address, domain_and_parents

# Each is tried for each address.
MAX_WILDCARDS = 1000
_WILDCARD = re.compile(rb"[*?]")


@dataclass(frozen=True, slots=True)
class Entries:
    """Plain ones in lower case, and those with wildcards, compiled."""

    plain: Set[bytes] = frozenset()
    wild: tuple[tuple[bytes, re.Pattern[str]], ...] = ()

    def find(self, address: Address) -> bytes | None:
        """The entry that names this address, None where none does."""
        whole = address.raw.lower()
        if whole in self.plain:
            return whole
        domain = b"" if address.domain is None else b"@" + address.domain.lower()
        if domain and domain in self.plain:
            return domain
        for entry, pattern in self.wild:
            text = domain if entry.startswith(b"@") else whole
            if pattern.match(text.decode("latin-1")):
                return entry
        return None


@dataclass(frozen=True, slots=True)
class BadAddresses:
    """One file: what is refused, and what of it is spared."""

    refused: Entries = Entries()
    spared: Entries = Entries()

    def __bool__(self) -> bool:
        return bool(self.refused.plain or self.refused.wild)

    def find(self, address: Address) -> bytes | None:
        """The entry by which this address is refused; None where it is not."""
        refused = self.refused
        # Asked for each message; most deployments have no such file.
        if not (refused.plain or refused.wild):
            return None
        entry = refused.find(address)
        return None if entry is None or self.spared.find(address) is not None else entry

    def outside(self, hosts: Set[bytes]) -> Iterator[bytes]:
        """The plain entries whose domain is none of `hosts` (names as in rcpthosts): no recipients of ours."""
        for entry in sorted(self.refused.plain):
            domain = Address(entry).domain
            if domain and not any(name in hosts for name in domain_and_parents(domain)):
                yield entry


NOBODY = BadAddresses()


def parse_entries(lines: Iterable[bytes]) -> BadAddresses:
    """What the lines say. Raises ValueError for more than MAX_WILDCARDS with wildcards."""
    refused, spared = list[bytes](), list[bytes]()
    for line in lines:
        (spared if line.startswith(b"!") else refused).append(line.removeprefix(b"!").strip().lower())
    made = BadAddresses(_entries(refused), _entries(spared))
    if len(made.refused.wild) + len(made.spared.wild) > MAX_WILDCARDS:
        raise ValueError(f"at most {MAX_WILDCARDS} entries with wildcards")
    return made


def plain_entries(lines: Iterable[bytes]) -> BadAddresses:
    """qmail's own reading: no wildcards, nothing spared."""
    return BadAddresses(Entries(frozenset(line.lower() for line in lines)))


def _entries(lines: Iterable[bytes]) -> Entries:
    plain, wild = set[bytes](), list[tuple[bytes, re.Pattern[str]]]()
    for line in lines:
        if _WILDCARD.search(line):
            # A bracket is an address literal's, not a class of characters.
            glob = line.decode("latin-1").replace("[", "[[]")
            wild.append((line, re.compile(fnmatch.translate(glob))))
        else:
            plain.add(line)
    return Entries(frozenset(plain), tuple(wild))


def render_outside(entries: Iterable[bytes], most: int = 3) -> str | None:
    """The warning about entries of badrcptto that are plainly senders, as the tutorial's are; None without one."""
    found = [entry.decode("utf-8", "backslashreplace") for entry in entries]
    if not found:
        return None
    more = f" and {len(found) - most} more" if len(found) > most else ""
    named = ", ".join(found[:most]) + more
    return f"control/badrcptto: {named}: no recipient of ours; if senders are meant, as in the tutorial, badmailfrom is"
