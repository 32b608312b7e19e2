"""What a FETCH asks for (RFC 3501 section 6.4.5, RFC 8474, RFC 8514, RFC 8970)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.message import SectionSpec

_MACROS = {
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}
_PLAIN = frozenset(
    (
        b"FLAGS",
        b"INTERNALDATE",
        b"RFC822.SIZE",
        b"ENVELOPE",
        b"BODY",
        b"BODYSTRUCTURE",
        b"UID",
        b"MODSEQ",
        b"SAVEDATE",
        b"EMAILID",
        b"THREADID",
        b"PREVIEW",
    )
)
_NAME = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*(?=\.[A-Za-z]|\])")
_KIND = re.compile(rb"[A-Za-z.]+")
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")
MAX_PART_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Plain:
    """An item without arguments: FLAGS, UID, ENVELOPE ..."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A section of the message. `label` is how the answer names it, with the origin of a partial fetch."""

    spec: SectionSpec
    label: bytes
    peek: bool
    partial: tuple[int, int] | None = None


FetchItem: TypeAlias = Plain | Body

_RFC822 = {
    b"RFC822": Body(SectionSpec((), None, ()), b"RFC822", peek=False),
    b"RFC822.HEADER": Body(SectionSpec((), "HEADER", ()), b"RFC822.HEADER", peek=True),
    b"RFC822.TEXT": Body(SectionSpec((), "TEXT", ()), b"RFC822.TEXT", peek=False),
}


def parse_fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """A macro, one item, or a parenthesised list. Raises BadSyntax."""
    if not cursor.skip(b"("):
        name = cursor.match(_NAME, "what to fetch").upper()
        if name in _MACROS:
            return tuple(Plain(item) for item in _MACROS[name])
        return (_parse_item(name, cursor),)
    items: list[FetchItem] = []
    while not items or not cursor.skip(b")"):
        if items:
            cursor.space()
        items.append(_parse_item(cursor.match(_NAME, "what to fetch").upper(), cursor))
    return tuple(dict.fromkeys(items))


def _parse_item(name: bytes, cursor: Cursor) -> FetchItem:
    if name in (b"BODY", b"BODY.PEEK") and cursor.peek() == b"[":
        return _parse_body(cursor, peek=name == b"BODY.PEEK")
    if name == b"PREVIEW":
        cursor.skip(b" (LAZY)")  # it is always made (RFC 8970 section 3.1)
    if name in _PLAIN:
        return Plain(name)
    if name in _RFC822:
        return _RFC822[name]
    raise BadSyntax("unknown item to fetch")


def _parse_body(cursor: Cursor, *, peek: bool) -> Body:
    cursor.expect(b"[")
    part: tuple[int, ...] = ()
    label = b""
    if cursor.peek().isdigit():
        label = cursor.match(_PART, "a part number")
        part = tuple(int(number) for number in label.split(b"."))
        if len(part) > MAX_PART_DEPTH:
            raise BadSyntax("part number too long")
        if cursor.skip(b"."):
            label += b"."
    kind: str | None = None
    fields: tuple[bytes, ...] = ()
    if cursor.peek() != b"]":
        kind, fields, text = _parse_kind(cursor, nested=bool(part))
        label += text
    cursor.expect(b"]")
    partial = _parse_partial(cursor)
    label = b"BODY[" + label + b"]" + (b"" if partial is None else b"<%d>" % partial[0])
    return Body(SectionSpec(part, kind, fields), label, peek, partial)


def _parse_kind(cursor: Cursor, *, nested: bool) -> tuple[str, tuple[bytes, ...], bytes]:
    kind = cursor.match(_KIND, "a section").upper()
    if kind in (b"HEADER", b"TEXT") or (kind == b"MIME" and nested):
        return kind.decode(), (), kind
    if kind not in (b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"):
        raise BadSyntax("unknown section")
    cursor.space()
    cursor.expect(b"(")
    names = [cursor.astring()]
    while not cursor.skip(b")"):
        cursor.space()
        names.append(cursor.astring())
    shown = b" ".join(_render_field(name) for name in names)
    return kind.decode(), tuple(names), kind + b" (" + shown + b")"


def _render_field(name: bytes) -> bytes:
    """A field name as the answer repeats it: as sent if it is an atom, else quoted."""
    if re.fullmatch(rb"[!#$&'+,./0-9:;<=>?@A-Z^_`a-z|~-]+", name):
        return name
    safe = re.sub(rb"[^\x20-\x7e]", b"?", name)
    return b'"' + safe.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _parse_partial(cursor: Cursor) -> tuple[int, int] | None:
    if cursor.peek() != b"<":
        return None
    cursor.match(_PARTIAL, "a partial range")
    found = _PARTIAL.match(cursor.text, cursor.text.rindex(b"<", 0, cursor.position))
    assert found is not None
    start, count = int(found[1]), int(found[2])
    if start >= 2**32 or count >= 2**32:
        raise BadSyntax("number too large")
    return start, count
