"""The text of a message's parts, decoded, in pieces (RFC 2045 6)."""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator

from services.imap.message.header import first
from services.imap.message.lexer import Lexer
from services.imap.message.parse import Message, Part
from services.imap.message.text import PIECE_BYTES, Text
from services.imap.search.charset import codec
from services.imap.search.words import unbase64

#: A piece of decoded text is at most so long, in characters.
PIECE_CHARS = 2 * PIECE_BYTES

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def entities(message: Message) -> Iterator[Part]:
    """All entities of the message in order, multiparts and enclosed messages included."""
    waiting = [message.root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(reversed(part.children))


def text_pieces(text: Text, part: Part) -> Iterator[str]:
    """The decoded text of a part, if it is text and has no parts of its own. Nothing is raised."""
    if part.children or part.multipart or not (part.content.is_a(b"text") or part.content.is_a(b"message")):
        return
    charset = (part.content.param(b"charset") or b"us-ascii").decode("latin-1")
    decoder = codecs.getincrementaldecoder(codec(charset) or "utf-8")("replace")
    try:
        for octets in _decoded(text, part):
            yield decoder.decode(octets)
        yield decoder.decode(b"", final=True)
    except (UnicodeError, ValueError):
        return  # some codecs raise in spite of "replace": the rest is no text


def _decoded(text: Text, part: Part) -> Iterator[bytes]:
    lexer = Lexer(first(part.header, b"content-transfer-encoding") or b"")
    lexer.skip()
    encoding = lexer.token().lower()
    pieces = text.pieces(part.body, part.end)
    if encoding == b"base64":
        return _base64(pieces)
    if encoding == b"quoted-printable":
        return _quoted_printable(pieces)
    return pieces


def _base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for piece in pieces:
        letters = left + _NOT_BASE64.sub(b"", piece)
        whole = len(letters) & ~3
        yield binascii.a2b_base64(letters[:whole])
        left = letters[whole:]
    yield unbase64(left)


def _quoted_printable(pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for piece in pieces:
        piece = left + piece
        cut = piece.rfind(b"\n") + 1
        if cut == 0:  # one endless line
            cut = max(0, len(piece) - 3)
        yield binascii.a2b_qp(piece[:cut])
        left = piece[cut:]
    yield binascii.a2b_qp(left)
