"""Tokens of an IMAP command after literals are joined (RFC 3501 section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, Union


@dataclass(frozen=True, slots=True)
class Atom:
    """A bare word: atom, number, sequence set, flag or NIL; its bytes as sent."""

    value: bytes


@dataclass(frozen=True, slots=True)
class String:
    """A quoted string (escapes removed) or a literal."""

    value: bytes


#: A parenthesised list is a tuple of tokens, nested as sent.
Token: TypeAlias = Union[Atom, String, "tuple[Token, ...]"]
