"""A stored message as POP3 sends it: CRLF line ends, dots doubled, cut by TOP. Pure, in bounded memory."""

from __future__ import annotations


class WireForm:
    """Takes a message in pieces of any size and gives what goes on the wire (RFC 1939 section 3).

    `body_lines`: at most that many lines after the empty one (TOP), None for all. `as_stored`: a CR before a LF
    is part of the line, as for qmail-pop3d; otherwise a stored CRLF is one line end.
    """

    def __init__(self, *, body_lines: int | None = None, as_stored: bool = False) -> None:
        self._body_lines = body_lines
        self._as_stored = as_stored
        self._in_header = True
        self._line_is_empty = True
        self._at_line_start = True
        self._held_cr = b""
        #: Whether TOP has all that it wants; further pieces give nothing.
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """The next piece."""
        if self.complete:
            return b""
        if not self._as_stored:
            data = self._join_line_ends(self._held_cr + data)
        if self._body_lines is not None:
            data = self._cut(data)
            if self.complete:
                self._held_cr = b""  # of a line that TOP does not want
        return self._encode(data)

    def end(self) -> bytes:
        """The end of the message: a partial last line is ended."""
        rest = self._encode(self._held_cr) if self._held_cr else b""
        self._held_cr = b""
        return rest if self._at_line_start else rest + b"\r\n"

    def _join_line_ends(self, data: bytes) -> bytes:
        self._held_cr = b"\r" if data.endswith(b"\r") else b""
        return data.removesuffix(b"\r").replace(b"\r\n", b"\n")

    def _encode(self, data: bytes) -> bytes:
        if not data:
            return b""
        stuffing = b"." if self._at_line_start and data.startswith(b".") else b""
        self._at_line_start = data.endswith(b"\n")
        return stuffing + data.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")

    def _cut(self, data: bytes) -> bytes:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            empty = self._line_is_empty and end == start
            self._line_is_empty = True
            start = end + 1
            if self._ends_here(empty=empty):
                self.complete = True
                return data[:start]
        if start < len(data):
            self._line_is_empty = False
        return data

    def _ends_here(self, *, empty: bool) -> bool:
        assert self._body_lines is not None
        if not self._in_header:
            self._body_lines -= 1
        elif empty:
            self._in_header = False
        else:
            return False
        return self._body_lines <= 0
