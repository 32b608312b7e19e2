"""Arguments of the commands that belong to the connection (RFC 3501 sections 6.1 and 6.2, RFC 2971, RFC 5161)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax

# RFC 2971 section 3.3: at most 30 pairs.
MAX_ID_FIELDS = 30
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")

#: The client's own words of itself, by name, as sent.
IdFields: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """`initial`: the client's first answer, still in base64 (SASL-IR, RFC 4959); None: it will be asked for."""

    mechanism: bytes
    initial: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """RFC 3501 section 6.2.3."""

    user: bytes
    password: bytes


def parse_id(cursor: Cursor) -> IdFields:
    """RFC 2971 section 3.1. Raises BadSyntax."""
    if cursor.skip(b"NIL"):
        return ()
    cursor.expect(b"(")
    fields: list[tuple[bytes, bytes]] = []
    while not cursor.skip(b")"):
        if fields:
            cursor.space()
        name = cursor.string()
        cursor.space()
        fields.append((name, cursor.nstring() or b""))
        if len(fields) > MAX_ID_FIELDS:
            raise BadSyntax("too many fields")
    return tuple(fields)


def parse_authenticate(cursor: Cursor) -> Authenticate:
    """Raises BadSyntax."""
    mechanism = cursor.word()
    if cursor.at_end():
        return Authenticate(mechanism)
    cursor.space()
    return Authenticate(mechanism, b"" if cursor.skip(b"=") else cursor.match(_BASE64, "base64"))


def parse_login(cursor: Cursor) -> Login:
    """Raises BadSyntax."""
    user = cursor.astring()
    cursor.space()
    return Login(user, cursor.astring())


def parse_words(cursor: Cursor) -> tuple[bytes, ...]:
    """One word or more, in upper case. Raises BadSyntax."""
    words = [cursor.word()]
    while not cursor.at_end():
        cursor.space()
        words.append(cursor.word())
    return tuple(words)
