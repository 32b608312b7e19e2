"""Addresses as qmail sees them: bytes, cut at the last `@`; local parts may hold any octet. Pure.

Source: RFC 5321 4.1.2 for the quoted form; addresses(5), envelopes(5) and qmail's quote.c for when quoting is needed.

Why: docs/decisions/0018-one-address-one-draft.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Without the NUL that qmail-queue counts (its ADDR is 1003): what every entrance but SMTP takes. qmail-smtpd has 899.
MAX_ADDRESS_BYTES = 1002
# Ends the sender `base-@[]`, of which each recipient gets a form of its own (VERP, addresses(5)).
VERP_MARK = b"-@[]"
# RFC 5321 4.1.2 Atom characters and the dot; anything else makes the local part a Quoted-string.
_PLAIN_LOCAL = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*\Z")
_ESCAPED = re.compile(rb'([\r\n"\\])')
_CONTROLS = bytes([*range(0x20), 0x7F])
_IN_A_LINE = bytes(ord("_") if (octet < 0x20 and octet != 9) or octet == 0x7F else octet for octet in range(256))
_put = object.__setattr__


@dataclass(frozen=True, slots=True, init=False)
class Address:
    """An envelope address, cut once at its last `@`: `raw` as written, unquoted; `domain` None without an `@`.

    An empty one is false: the null sender, or nobody."""

    raw: bytes
    local: bytes = field(compare=False, repr=False)
    domain: bytes | None = field(compare=False, repr=False)

    def __init__(self, raw: bytes) -> None:
        local, at, domain = raw.rpartition(b"@")
        _put(self, "raw", raw)
        _put(self, "local", local if at else raw)
        _put(self, "domain", domain if at else None)

    @classmethod
    def join(cls, local: bytes, domain: bytes) -> Address:
        """`local@domain`; where the domain holds an `@` it is cut there, as by whoever reads the whole."""
        return cls(local + b"@" + domain)

    def __bool__(self) -> bool:
        return bool(self.raw)

    def to_nul(self) -> Address:
        """Up to its first NUL, where C's strings end."""
        return Address(self.raw.partition(b"\0")[0]) if b"\0" in self.raw else self

    def without_verp(self) -> Address:
        """`base` of `base-@[]`, which is where bounces of such a sender go; any other as it is."""
        return Address(self.raw.removesuffix(VERP_MARK)) if self.raw.endswith(VERP_MARK) else self

    def has_controls(self) -> bool:
        """Whether it holds what no address may hold, quoted or not: a control character (RFC 5321 4.1.2)."""
        return len(self.raw.translate(None, _CONTROLS)) != len(self.raw)

    def quoted(self) -> bytes:
        """The address with its local part as a Quoted-string where it needs to be one (qmail's quote2)."""
        if not self.raw or is_plain(self.local):
            return self.raw
        local = b'"' + _ESCAPED.sub(rb"\\\1", self.local) + b'"'
        return local if self.domain is None else local + b"@" + self.domain


NULL_SENDER = Address(b"")
# The sender of a double bounce (envelopes(5)).
DOUBLE_BOUNCE_SENDER = Address(b"#@[]")


def domain_and_parents(domain: bytes) -> Iterator[bytes]:
    """The keys under which control files have a domain: itself, then `.parent` by `.parent` (rcpthosts.c)."""
    yield domain
    dot = domain.find(b".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(b".", dot + 1)


def in_a_line(text: bytes) -> bytes:
    """An address for a line of a header or a text: as in qmail-local a newline becomes `_`, and so does every other
    control character but the tab, or what follows it could be taken for a line of its own."""
    return text.translate(_IN_A_LINE)


def is_plain(local: bytes) -> bool:
    """Whether a local part may stand unquoted in SMTP and in header fields."""
    if not local or local[:1] == b"." or local[-1:] == b"." or b".." in local:
        return False
    return _PLAIN_LOCAL.match(local) is not None
