"""The client's side of the queue's socket: what qmail.c does with the program qmail-queue."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from qmail.message import netstring
from qmail.message.address import Address
from qmail.queue.exits import CRASHED
from qmail.queue.socket.wire import decode_answer, render_envelope

_ANSWER_BYTES = 64
# Storing takes longer than this only when the other end is gone.
_ANSWER_SECONDS = 3600.0


class Queue(Protocol):
    """Where a message is put."""

    def open(self) -> None:
        """Begin a message. Raises OSError where the queue cannot be reached."""

    def write(self, data: bytes) -> None:
        """A piece of the message."""

    def finish(self, sender: Address, recipients: Iterable[Address]) -> int:
        """The envelope: qmail-queue's exit code, negative where it died."""


class SocketQueue:
    """The queue behind a Unix socket; `number` is the message's after a `finish` that gave 0."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self._path = path
        self._socket: socket.socket | None = None
        self._pending = bytearray()
        self._broken = False

    def open(self) -> None:
        """Connect. Raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ANSWER_SECONDS)
        self._socket.connect(str(self._path))

    def write(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= netstring.MAX_FRAME_BYTES:
            self._send_frame(self._take())

    def finish(self, sender: Address, recipients: Iterable[Address]) -> int:
        """Send the envelope and wait for the exit code."""
        return self.finish_raw([render_envelope(sender, recipients)])

    def finish_raw(self, envelope: Iterable[bytes]) -> int:
        """Send an envelope that is already in qmail-queue's form; the exit code."""
        self._end_text()
        for piece in envelope:
            self.write(piece)
        self._end_text()
        return self._read_answer()

    def _take(self) -> bytes:
        piece = bytes(self._pending[: netstring.MAX_FRAME_BYTES])
        del self._pending[: netstring.MAX_FRAME_BYTES]
        return piece

    def _end_text(self) -> None:
        while self._pending:
            self._send_frame(self._take())
        self._send_frame(b"")

    def _send_frame(self, data: bytes) -> None:
        if self._socket is None or self._broken:
            return
        try:
            self._socket.sendall(netstring.encode(data))
        except OSError:
            # It may have said why before it closed: the answer is read all the same.
            self._broken = True

    def _read_answer(self) -> int:
        if self._socket is None:
            return CRASHED
        answer = b""
        try:
            while (found := decode_answer(answer)) is None:
                piece = self._socket.recv(_ANSWER_BYTES)
                if not piece:
                    return CRASHED
                answer += piece
        except (OSError, ValueError):
            return CRASHED
        finally:
            self._socket.close()
        code, self.number = found
        return code
