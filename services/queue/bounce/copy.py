"""The copy of a message in its bounce: the header whole, the body up to a bound; and what bytes are in it. Pure."""

from __future__ import annotations

import codecs

# What a bounce says where the rest is left out, in the words of qmail's bouncemaxbytes patch.
STRIPPED = b"--- End of message stripped.\n"
# A header beyond this is no header that anybody reads.
MAX_HEADER_BYTES = 256 * 1024


class Copy:
    """Takes a message in pieces and gives of each what the bounce has of it.

    max_bytes: of the whole copy; 0: no bound."""

    def __init__(self, max_bytes: int) -> None:
        self.full = False
        self._max_bytes = max_bytes
        self._bytes = 0
        self._in_header = True
        self._last = b"\n"

    def take(self, piece: bytes) -> bytes:
        """What is kept of the next piece; nothing once `full` is true."""
        if self.full or not self._max_bytes or not piece:
            return b"" if self.full else piece
        header_end = self._bytes + self._header_bytes(piece)
        room = max(self._max_bytes, min(header_end, MAX_HEADER_BYTES)) - self._bytes
        if len(piece) > room:
            self.full = True
            piece = piece[: max(room, 0)]
            # A whole line is the better end, where there is one.
            piece = piece[: piece.rfind(b"\n") + 1] or piece
        self._bytes += len(piece)
        self._last = piece[-1:] or self._last
        return piece

    def _header_bytes(self, piece: bytes) -> int:
        """How many bytes of the piece belong to the header, the empty line included."""
        if not self._in_header:
            return 0
        end = (self._last + piece).find(b"\n\n")
        if end < 0:
            return len(piece)
        self._in_header = False
        return end + 2 - len(self._last)

    def end(self) -> bytes:
        """What stands below the copy."""
        if not self.full:
            return b""
        return (b"" if self._last == b"\n" else b"\n") + STRIPPED


class Octets:
    """What the bytes of a text are: ASCII, UTF-8, or something else."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._ascii = True

    def take(self, piece: bytes) -> None:
        """The next piece."""
        self._ascii = self._ascii and piece.isascii()
        if self._decoder is not None and not self._ascii:
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError:
                self._decoder = None

    @property
    def charset(self) -> bytes | None:
        """As a MIME parameter (RFC 2045 5.1, RFC 1428 for the last); None for ASCII."""
        if self._ascii:
            return None
        whole = self._decoder is not None and not self._decoder.getstate()[0]
        return b"utf-8" if whole else b"unknown-8bit"
