"""Arguments of the commands on quotas and rights (RFC 9208, RFC 4314)."""

from __future__ import annotations

from dataclasses import dataclass

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.folders import parse_mailbox

# Of SETQUOTA, of which we know two.
MAX_RESOURCES = 20


@dataclass(frozen=True, slots=True)
class OfIdentifier:
    """A mailbox, and whose rights in it are meant."""

    mailbox: bytes
    identifier: bytes


def parse_quota_root(cursor: Cursor) -> bytes:
    """GETQUOTA's. Raises BadSyntax."""
    return cursor.astring()


def parse_set_quota(cursor: Cursor) -> bytes:
    """SETQUOTA's root; the limits are read and go nowhere. Raises BadSyntax."""
    root = cursor.astring()
    cursor.space()
    cursor.expect(b"(")
    count = 0
    while not cursor.skip(b")"):
        if count:
            cursor.space()
        cursor.atom()
        cursor.space()
        cursor.number()
        count += 1
        if count > MAX_RESOURCES:
            raise BadSyntax("too many resources")
    return root


def parse_of_identifier(cursor: Cursor) -> OfIdentifier:
    """DELETEACL's and LISTRIGHTS'. Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    cursor.space()
    return OfIdentifier(mailbox, cursor.astring())


def parse_set_acl(cursor: Cursor) -> OfIdentifier:
    """SETACL's; which rights were asked for changes nothing in the answer. Raises BadSyntax."""
    found = parse_of_identifier(cursor)
    cursor.space()
    cursor.astring()
    return found
