"""SMTP replies as qmail-remote reads them: the first line's code, bounded text, every size bounded."""

from __future__ import annotations

from dataclasses import dataclass

from services.delivery.remote.replies import MAX_REMOTE_TEXT_BYTES

# A reply beyond these is an attack or a broken server, not an answer.
MAX_REPLY_BYTES = 256 * 1024
MAX_REPLY_LINES = 1000

_HEAD = 4  # three characters of the code, then `-` where another line follows
_DASH = ord("-")
_NEWLINE = ord("\n")
_WORD = 1 << 32  # qmail-remote computes codes in unsigned words: letters make codes of 500 and more


class ReplyTooLongError(Exception):
    """The reply exceeds MAX_REPLY_BYTES or MAX_REPLY_LINES."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: the first line's code, and all lines without CR, cut at 5000 bytes."""

    code: int
    text: bytes


class ReplyReader:
    """Takes bytes in any pieces, gives replies.

    Source: RFC 5321 4.2.1; codes as in qmail-remote's smtpcode(): characters minus `0`, no other check."""

    def __init__(self) -> None:
        self._buffer = b""
        self._begin()

    def _begin(self) -> None:
        self._text = bytearray()
        self._code = 0
        self._head = 0
        self._lines = 0
        self._size = 0
        self._more = False

    def feed(self, data: bytes) -> None:
        """Add bytes that came from the far host."""
        self._buffer += data

    @property
    def started(self) -> bool:
        """Whether any byte of a reply has come."""
        return bool(self._buffer) or self._size > 0

    def discard(self) -> None:
        """Forget everything that came before TLS (RFC 3207 4.2: it could be an attacker's)."""
        self._buffer = b""
        self._begin()

    def next(self) -> Reply | None:
        """The next complete reply, None where more bytes are needed. Raises ReplyTooLongError."""
        position = 0
        buffer = self._buffer
        while position < len(buffer):
            step = self._take_head if self._head < _HEAD else self._take_rest
            position, complete = step(buffer, position)
            if complete:
                return self._complete(buffer[position:])
        self._buffer = b""
        if self._size > MAX_REPLY_BYTES:
            raise ReplyTooLongError
        return None

    def _complete(self, rest: bytes) -> Reply:
        self._buffer = rest
        reply = Reply(self._code % _WORD, bytes(self._text))
        self._begin()
        return reply

    def _take_head(self, buffer: bytes, position: int) -> tuple[int, bool]:
        byte = buffer[position]
        self._keep(buffer[position : position + 1])
        self._head += 1
        if self._head < _HEAD:
            if self._lines == 0:
                self._code = self._code * 10 + byte - 48
            return position + 1, False
        self._more = byte == _DASH
        return position + 1, byte == _NEWLINE

    def _take_rest(self, buffer: bytes, position: int) -> tuple[int, bool]:
        end = buffer.find(b"\n", position)
        stop = len(buffer) if end < 0 else end + 1
        self._keep(buffer[position:stop])
        if end < 0:
            return stop, False
        self._lines += 1
        if self._lines > MAX_REPLY_LINES:
            raise ReplyTooLongError
        self._head = 0
        return stop, not self._more

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        room = MAX_REMOTE_TEXT_BYTES - len(self._text)
        if room > 0:
            self._text += piece.replace(b"\r", b"")[:room]
