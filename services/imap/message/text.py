"""A stored file seen as the CRLF text that IMAP serves.

Files lie on disk with LF line ends (some with CRLF, some with both). What is served has CRLF: a LF without a CR before
it becomes CR LF, everything else stays. Nothing here copies more than one piece of the file at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

#: Distance of the marks in the index of line ends, and of the pieces that are read, in bytes.
MARK_BYTES = 1 << 16
PIECE_BYTES = 1 << 18


class Data(Protocol):
    """A file's octets: bytes, or what reads them when they are asked for. The latter may raise as its reader does."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...

    def find(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int: ...


class Text:
    """Sizes and pieces of `data[start:end]` in CRLF form. Offsets are those of the file unless called virtual."""

    __slots__ = ("_bare", "data", "length")

    def __init__(self, data: Data) -> None:
        self.data = data
        self.length = len(data)
        self._bare = [0]  # bare LFs before mark k, as far as anybody has asked

    def lines(self, start: int, end: int) -> int:
        """Number of LF in the range."""
        return sum(self.data[at : min(at + PIECE_BYTES, end)].count(b"\n") for at in range(start, end, PIECE_BYTES))

    def measure(self, start: int, end: int) -> tuple[int, int]:
        """Bytes of the range in CRLF form, and its lines."""
        if not 0 < start < end <= start + MARK_BYTES:
            return self.size(start, end), self.lines(start, end)
        piece = self.data[start:end]
        lines = piece.count(b"\n")
        paired = piece.count(b"\r\n") if b"\r" in piece else 0
        return end - start + lines - paired - self._joined(start, piece), lines

    def size(self, start: int, end: int) -> int:
        """Bytes of the range in CRLF form."""
        if end <= start:
            return 0
        if end - start <= MARK_BYTES:
            return end - start + self._bare_in(start, end)
        return end - start + self._bare_before(end) - self._bare_before(start)

    def pieces(self, start: int, end: int, offset: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """The range in CRLF form from virtual `offset` on, at most `limit` bytes, in pieces of at most 512 kB."""
        at, skip = self._locate(start, end, offset)
        left = self.size(start, end) - offset if limit is None else limit
        while at < end and left > 0:
            piece = self._crlf(at, min(at + PIECE_BYTES, end))
            at += PIECE_BYTES
            if skip:
                piece, skip = piece[skip:], max(0, skip - len(piece))
            if piece:
                yield piece[:left] if len(piece) > left else piece
                left -= len(piece)

    def whole(self, start: int, end: int) -> bytes:
        """The range in CRLF form in one piece: for what is known to be small."""
        return self._crlf(start, end)

    def _locate(self, start: int, end: int, offset: int) -> tuple[int, int]:
        """A place in the file at or before virtual `offset`, and how many virtual bytes lie between."""
        first = start // MARK_BYTES + 1
        last = min(end, start + offset) // MARK_BYTES
        if last < first:
            return start, offset
        before = self._bare_before(start)

        def virtual(mark: int) -> int:
            return mark * MARK_BYTES - start + self._bare_before(mark * MARK_BYTES) - before

        mark = bisect_right(range(first, last + 1), offset, key=virtual) + first - 1
        return (start, offset) if mark < first else (mark * MARK_BYTES, offset - virtual(mark))

    def _crlf(self, start: int, end: int) -> bytes:
        piece = self.data[start:end]
        joined = self._joined(start, piece)
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")
        crlf = piece.replace(b"\n", b"\r\n")
        return crlf[1:] if joined else crlf

    def _bare_in(self, start: int, end: int) -> int:
        if end <= start:
            return 0
        piece = self.data[start:end]
        joined = self._joined(start, piece)
        return piece.count(b"\n") - (piece.count(b"\r\n") if b"\r" in piece else 0) - joined

    def _joined(self, start: int, piece: bytes) -> bool:
        """Whether the piece begins with the LF of a CR LF."""
        return piece[:1] == b"\n" and start > 0 and self.data[start - 1 : start] == b"\r"

    def _bare_before(self, end: int) -> int:
        mark = end // MARK_BYTES
        while len(self._bare) <= mark:
            at = (len(self._bare) - 1) * MARK_BYTES
            self._bare.append(self._bare[-1] + self._bare_in(at, at + MARK_BYTES))
        return self._bare[mark] + self._bare_in(mark * MARK_BYTES, end)
