"""The beginning of what a message says, for a list of messages (RFC 8970)."""

from __future__ import annotations

import html
import re

from services.imap.message.parse import Message, Part
from services.imap.message.render import string
from services.imap.search.body import entities, text_pieces

#: RFC 8970 section 3.2: at most so many characters.
MAX_CHARS = 200
# So much of a part's text is looked at.
_LOOKED_AT_CHARS = 20_000

_UNSEEN = re.compile(r"<(style|script|head)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_QUOTED = re.compile(r"^>.*$", re.MULTILINE)


def preview(message: Message) -> bytes:
    """The item's value: of the first plain text, else of the first HTML; empty where there is neither."""
    parts = list(entities(message))
    for kind in (b"plain", b"html"):
        for part in parts:
            if _is_text(part, kind):
                return string(_shown(_beginning(message, part), kind).encode("utf-8", "replace"))
    return b'""'


def _is_text(part: Part, kind: bytes) -> bool:
    return part.content.is_a(b"text", kind)


def _beginning(message: Message, part: Part) -> str:
    found = ""
    for piece in text_pieces(message.text, part):
        found += piece
        if len(found) >= _LOOKED_AT_CHARS:
            break
    return found[:_LOOKED_AT_CHARS]


def _shown(text: str, kind: bytes) -> str:
    """One line without markup, quotations and what no line may hold."""
    if kind == b"html":
        text = html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text)))
    else:
        text = _QUOTED.sub(" ", text)
    return "".join(one for one in " ".join(text.split()) if one.isprintable())[:MAX_CHARS]
