"""The message as SMTP carries it: lines end in CRLF, a leading dot is doubled (RFC 5321 4.5.2).

Named after qmail-remote's blast(). Messages are stored with LF; pieces may be cut anywhere.
"""

from __future__ import annotations

import re

_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


class PartialLineError(Exception):
    """The message does not end with a newline, which SMTP cannot express."""


class ExactBlaster:
    """qmail-remote 1.03: only LF ends a line, CR passes as it is (control/extensions = none)."""

    def __init__(self) -> None:
        self._line_start = True

    def feed(self, piece: bytes) -> bytes:
        """The next piece of the message in SMTP's form."""
        if not piece:
            return b""
        dot = b"." if self._line_start and piece.startswith(b".") else b""
        self._line_start = piece.endswith(b"\n")
        return dot + piece.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """What follows the last piece: the final dot. Raises PartialLineError."""
        if not self._line_start:
            raise PartialLineError
        return b".\r\n"


class SafeBlaster:
    """Our default: a bare CR ends a line too (as in notqmail), so that no CR reaches the far host alone.

    RFC 5321 2.3.8 allows CR and LF only as a pair; a server that is lax there could be made to see the
    end of the message, and another message, where we see neither."""

    def __init__(self) -> None:
        self._exact = ExactBlaster()
        self._pending = b""

    def feed(self, piece: bytes) -> bytes:
        """The next piece of the message in SMTP's form."""
        if self._pending or b"\r" in piece:
            piece = self._pending + piece
            self._pending = b"\r" if piece.endswith(b"\r") else b""
            piece = _ANY_LINE_END.sub(b"\n", piece[:-1] if self._pending else piece)
        return self._exact.feed(piece)

    def finish(self) -> bytes:
        """What follows the last piece: the final dot. Raises PartialLineError."""
        end = self._exact.feed(b"\n") if self._pending else b""
        self._pending = b""
        return end + self._exact.finish()
