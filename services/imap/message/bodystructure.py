"""BODY and BODYSTRUCTURE (RFC 3501 7.4.2). Sizes and lines are those of the CRLF form."""

from __future__ import annotations

from functools import lru_cache

from services.imap.message.envelope import header_envelope
from services.imap.message.header import Field, first, last, unfold
from services.imap.message.lexer import Lexer
from services.imap.message.params import ContentType, Params, parse_disposition
from services.imap.message.parse import Message, Part
from services.imap.message.render import NIL, group, nstring, string
from services.imap.message.text import Text

#: What most messages have, up to so many octets, is put together once.
_COMMON_BYTES = 200
#: More language tags of a part are not shown.
MAX_LANGUAGES = 100

_NO_PARTS = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'


def body(message: Message) -> bytes:
    """BODY: the structure without extension data, in wire form."""
    return _structure(message.text, message.root, extended=False)


def bodystructure(message: Message) -> bytes:
    """BODYSTRUCTURE: with extension data, in wire form."""
    return _structure(message.text, message.root, extended=True)


def _structure(text: Text, part: Part, *, extended: bool) -> bytes:
    if part.content.is_a(b"multipart"):
        return _multipart(text, part, extended=extended)
    return _single(text, part, extended=extended)


def _multipart(text: Text, part: Part, *, extended: bool) -> bytes:
    # The grammar wants one part at least.
    none = _NO_PARTS + (b" NIL NIL NIL NIL)" if extended else b")")
    parts = b"".join(_structure(text, child, extended=extended) for child in part.children) or none
    items = [parts, string(part.content.subtype)]
    if extended:
        items += [_params(part.content.params), *_extension(part.header)]
    return group(items)


def _single(text: Text, part: Part, *, extended: bool) -> bytes:
    content, inner = part.content, part.enclosed
    header = [field for field in part.header if field.name[:8] == b"content-"]
    size, lines = text.measure(part.body, part.end)
    items = [
        b'"message" "rfc822" ' + _params(_with_charset(content)) if inner is not None else _kind(content),
        _text(header, b"content-id"),
        _text(header, b"content-description"),
        _encoding((first(header, b"content-transfer-encoding") or b"")[:_COMMON_BYTES]),
        b"%d" % size,
    ]
    if inner is not None:
        items += [header_envelope(inner.header), _structure(text, inner, extended=extended)]
    if inner is not None or content.is_a(b"text"):
        items.append(b"%d" % lines)
    if extended:
        items += [_text(header, b"content-md5"), *_extension(header)]
    return group(items)


def _kind(content: ContentType) -> bytes:
    octets = sum(len(name) + len(value) for name, value in content.params)
    return _common_kind(content) if octets <= _COMMON_BYTES else _any_kind(content)


def _any_kind(content: ContentType) -> bytes:
    return b"%b %b %b" % (string(content.type), string(content.subtype), _params(_with_charset(content)))


_common_kind = lru_cache(maxsize=200)(_any_kind)


def _with_charset(content: ContentType) -> Params:
    if not content.is_a(b"text") or content.param(b"charset") is not None:
        return content.params
    return (*content.params, (b"charset", b"us-ascii"))


def _extension(header: list[Field]) -> tuple[bytes, bytes, bytes]:
    """Disposition, language, location."""
    return _disposition(header), _language(header), _text(header, b"content-location")


def _params(params: Params) -> bytes:
    return group(string(item) for pair in params for item in pair) if params else NIL


@lru_cache(maxsize=50)
def _encoding(value: bytes) -> bytes:
    lexer = Lexer(value)
    lexer.skip()
    token = lexer.token()
    lexer.skip()
    # `base64;` is meant, `7 bit` says nothing.
    return string(token if token and lexer.peek() in (b"", b";", b",") else b"7bit")


def _disposition(header: list[Field]) -> bytes:
    value = last(header, b"content-disposition")
    if value is None:
        return NIL
    kind, params = parse_disposition(value)
    return group((string(kind), _params(params))) if kind or params else NIL


def _language(header: list[Field]) -> bytes:
    """Content-Language: tags with commas between (RFC 3282)."""
    lexer = Lexer(first(header, b"content-language") or b"")
    tags: list[bytes] = []
    lexer.skip()
    while len(tags) < MAX_LANGUAGES and (tag := lexer.token()):
        tags.append(tag)
        lexer.skip()
        if not lexer.take(b","):
            break
        lexer.skip()
    return group(map(string, tags)) if tags else NIL


def _text(header: list[Field], name: bytes) -> bytes:
    value = first(header, name)
    return nstring(None if value is None else unfold(value))
