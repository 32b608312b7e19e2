"""Content-Type, Content-Disposition and their parameters (RFC 2045 5.1, RFC 2183, RFC 2231)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from services.imap.message.lexer import Lexer

Params = tuple[tuple[bytes, bytes], ...]

#: More parameters than this are not looked at.
MAX_PARAMS = 200

_TOKEN = rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+"
_PARAM = rb"[ \t\r\n]*;[ \t\r\n]*(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|\"([^\"\\\r\n]*)\")"
_ONE_PARAM = re.compile(_PARAM)
_SIMPLE = re.compile(rb"[ \t\r\n]*(" + _TOKEN + rb")/(" + _TOKEN + rb")((?:" + _PARAM + rb")*)[ \t\r\n]*;?[ \t\r\n]*\Z")
#: Values that most messages have, up to so many octets, are read once.
_COMMON_BYTES = 200
_BROKEN_VALUE = re.compile(rb"=[^; \t\r\n]*")
_CONTINUED = re.compile(rb"(.+?)\*(\d{1,4})(\*?)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentType:
    """A parsed Content-Type. What could not be read is empty."""

    type: bytes
    subtype: bytes
    params: Params

    def param(self, name: bytes) -> bytes | None:
        """Value of the first parameter called `name` (lower case)."""
        return next((value for key, value in self.params if key.lower() == name), None)

    def is_a(self, kind: bytes, subtype: bytes | None = None) -> bool:
        """Whether this is `kind`/`subtype`, any subtype if None; both lower case."""
        return self.type.lower() == kind and (subtype is None or self.subtype.lower() == subtype)


def parse_content_type(value: bytes) -> ContentType:
    """Reads a Content-Type field value; what cannot be read is left out.

    A type without subtype is taken where nothing else is there, a subtype without type never, as the recorded server
    has it."""
    return _common_type(value) if len(value) <= _COMMON_BYTES else _content_type(value)


def _content_type(value: bytes) -> ContentType:
    simple = _SIMPLE.match(value)
    if simple:
        found = [(name, token or quoted) for name, token, quoted in _ONE_PARAM.findall(simple[3])]
        return ContentType(type=simple[1], subtype=simple[2], params=_join_continuations(found[:MAX_PARAMS]))
    return _strange_type(value)


_common_type = lru_cache(maxsize=500)(_content_type)


def _strange_type(value: bytes) -> ContentType:
    lexer = Lexer(value)
    lexer.skip()
    kind = lexer.token()
    lexer.skip()
    if lexer.at >= lexer.end:
        return ContentType(type=kind, subtype=b"", params=())
    slash = lexer.take(b"/")
    lexer.skip()
    subtype = lexer.token()
    if not (kind and slash and subtype):
        return ContentType(type=b"", subtype=b"", params=())
    lexer.skip()
    return ContentType(type=kind, subtype=subtype, params=_params(lexer))


def parse_disposition(value: bytes) -> tuple[bytes, Params]:
    """Reads a Content-Disposition field value: its kind (may be empty) and parameters."""
    lexer = Lexer(value)
    lexer.skip()
    kind = lexer.token()
    lexer.skip()
    return kind, _params(lexer)


def _params(lexer: Lexer) -> Params:
    found: list[tuple[bytes, bytes]] = []
    while lexer.at < lexer.end and len(found) < MAX_PARAMS:
        if not lexer.take(b";"):
            lexer.at += 1  # what does not belong here
            continue
        lexer.skip()
        name = lexer.token()
        lexer.skip()
        if lexer.take(b"="):
            found.append((name, _value(lexer)))
        lexer.skip()
    return _join_continuations(found)


def _value(lexer: Lexer) -> bytes:
    """May be empty."""
    lexer.skip()
    here = lexer.peek()
    if here == b'"':
        return lexer.quoted()
    if here == b"=":  # an encoded word without quotes
        found = _BROKEN_VALUE.match(lexer.value, lexer.at)
        assert found
        lexer.at = found.end()
        return found[0]
    return lexer.token()


def _join_continuations(found: list[tuple[bytes, bytes]]) -> Params:
    """`name*0*=..; name*1=..` becomes `name*`, or `name` where no piece is encoded (RFC 2231 3)."""
    if not any(b"*" in name for name, _ in found):
        return tuple(found)
    plain: list[tuple[bytes, bytes]] = []
    series: dict[bytes, tuple[bytes, dict[int, bytes], list[bool]]] = {}
    for name, value in found:
        piece = _CONTINUED.match(name)
        if piece is None:
            plain.append((name, value))
            continue
        _, pieces, encoded = series.setdefault(piece[1].lower(), (piece[1], {}, []))
        pieces.setdefault(int(piece[2]), value)
        encoded.append(bool(piece[3]))
    for name, pieces, encoded in series.values():
        value = b"".join(pieces[number] for number in sorted(pieces))
        plain.append((name + b"*" if any(encoded) else name, value))
    return tuple(plain)
