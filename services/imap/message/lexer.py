"""Words of structured header fields: blanks and comments, atoms, quoted strings (RFC 5322 3.2, RFC 2045 5.1).

Reads what people send, not only what the grammar allows: 8-bit bytes are letters, an unclosed quote or comment ends
with the field.
"""

from __future__ import annotations

import re

_BLANKS = re.compile(rb"[ \t\r\n\0]+")
_ATOM = re.compile(rb"[^\x00\t\r\n ()<>@,;:\\\".\[\]]+")
_TOKEN = re.compile(rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")
_QUOTED = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)', re.DOTALL)
_LITERAL = re.compile(rb"\[((?:[^\[\]\\]|\\.)*)\]", re.DOTALL)
_COMMENT_MARK = re.compile(rb"\\.|[()]", re.DOTALL)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r?\n")


class Lexer:
    """A place in a field value. `comment` is the text of the last comment passed."""

    __slots__ = ("at", "comment", "end", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.at = 0
        self.end = len(value)
        self.comment: bytes | None = None

    def peek(self) -> bytes:
        """The byte here, b"" at the end."""
        return self.value[self.at : self.at + 1]

    def take(self, byte: bytes) -> bool:
        """Passes `byte` if it is here."""
        if self.value[self.at : self.at + 1] != byte:
            return False
        self.at += 1
        return True

    def skip(self) -> None:
        """Passes blanks, folds and comments."""
        while self.at < self.end:
            blanks = _BLANKS.match(self.value, self.at)
            if blanks:
                self.at = blanks.end()
            if self.value[self.at : self.at + 1] != b"(":
                return
            self._comment()

    def atom(self) -> bytes:
        """RFC 5322 atom, b"" if there is none."""
        return self._match(_ATOM)

    def token(self) -> bytes:
        """RFC 2045 token, b"" if there is none."""
        return self._match(_TOKEN)

    def quoted(self) -> bytes:
        """The contents of the quoted string that begins here."""
        found = _QUOTED.match(self.value, self.at)
        if not found:
            self.at = self.end
            return b""
        self.at = found.end()
        return unquote(found[1])

    def domain_literal(self) -> bytes:
        """`[...]` with its brackets, b"" if it is not closed."""
        return self._match(_LITERAL)

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        found = pattern.match(self.value, self.at)
        if not found:
            return b""
        self.at = found.end()
        return found[0]

    def _comment(self) -> None:
        start, depth = self.at + 1, 0
        for mark in _COMMENT_MARK.finditer(self.value, self.at):
            depth += {b"(": 1, b")": -1}.get(mark[0], 0)
            if depth == 0:
                self.at = mark.end()
                self.comment = unquote(self.value[start : mark.start()])
                return
        self.at = self.end
        self.comment = unquote(self.value[start:])


def unquote(text: bytes) -> bytes:
    """Takes out folds and the backslashes of quoted pairs."""
    if b"\n" in text:
        text = _FOLD.sub(b"", text)
    return _PAIR.sub(rb"\1", text) if b"\\" in text else text
