"""The server's end of the queue's socket: takes what programs inside a container put, as qmail-queue(8) did.

Who the caller is, the kernel says (SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from qmail.bus.ports import BusDown, QueueFull
from qmail.control.files import ControlError
from qmail.message import netstring
from qmail.message.address import Address
from qmail.message.envelope import MAX_RECIPIENTS, Draft, MailParameters, Origin, Recipient
from qmail.queue import exits
from qmail.queue.put import EnvelopeTooLarge, Submission, Submitter
from qmail.queue.socket.wire import ExitError, encode_answer, parse_envelope

# What an envelope may hold: far beyond what one record of the bus takes.
MAX_ENVELOPE_BYTES = 1024 * 1024
MAX_CONNECTIONS = 64
# A client that says nothing for this long has gone to sleep.
IDLE_SECONDS = 600.0

_CREDENTIALS = struct.Struct("3i")
_log = logging.getLogger(__name__)


class _Frames:
    """A connection's frames, read as they are wanted."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._buffer = bytearray()

    async def text(self) -> AsyncIterator[bytes]:
        """The frames up to the empty one. Raises ExitError."""
        while frame := await self._next():
            yield frame

    async def _next(self) -> bytes:
        while True:
            try:
                found = netstring.decode(self._buffer)
            except netstring.NetstringError as error:
                raise ExitError(exits.BAD_ENVELOPE) from error
            if found is not None:
                del self._buffer[: found[1]]
                return found[0]
            data = await self._reader.read(netstring.MAX_FRAME_BYTES)
            if not data:
                raise ExitError(exits.READ_ERROR)
            self._buffer += data


class QueueSocket:
    """The server's side. `max_bytes()` is the largest message now, 0 for any; `exact()` whether any address is taken,
    as qmail-queue takes it; `alias_uid` is alias's uid; `uid_of` says who calls."""

    def __init__(
        self,
        submitter: Submitter,
        role: str,
        *,
        max_bytes: Callable[[], int],
        exact: Callable[[], bool] = lambda: False,
        alias_uid: int | None = None,
        uid_of: Callable[[asyncio.StreamWriter], int] | None = None,
    ) -> None:
        self._submitter = submitter
        self._role = role
        self._max_bytes = max_bytes
        self._exact = exact
        self._alias_uid = alias_uid
        self._uid_of = uid_of or caller_uid
        self._open = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one message."""
        self._open += 1
        try:
            code, number = await self._submit(reader, writer)
            writer.write(encode_answer(code, number))
            await writer.drain()
        except ConnectionError:
            pass  # nobody is left to tell; what was committed stays committed
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _submit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, int]:
        submission = None
        try:
            if self._open > MAX_CONNECTIONS:
                raise ExitError(exits.REJECTED_FOR_NOW)
            await self._submitter.ready()
            submission = self._submitter.begin()
            await self._take(_Frames(reader), submission, self._uid_of(writer))
            return exits.OK, submission.id
        except Exception as error:
            if submission is not None:
                await submission.abort()
            return _exit_code(error), 0

    async def _take(self, frames: _Frames, submission: Submission, uid: int) -> None:
        limit = self._max_bytes()
        size, ascii_only = 0, True
        async for piece in _timely(frames.text()):
            size += len(piece)
            if limit and size > limit:
                raise ExitError(exits.REJECTED)
            ascii_only = ascii_only and piece.isascii()
            await submission.write(piece)
        envelope = await _gather(frames)
        if envelope.count(b"\0T") > MAX_RECIPIENTS:
            raise ExitError(exits.REJECTED)
        sender, recipients = parse_envelope(envelope)
        if any(map(Address.has_controls, (sender, *recipients))) and not self._exact():
            raise ExitError(exits.ADDRESS_WITH_CONTROLS)
        draft = Draft(
            origin=Origin(uid=uid, role=self._role),
            sender=sender,
            recipients=tuple(map(Recipient, recipients)),
            parameters=MailParameters(body_type="7BIT" if ascii_only else "8BITMIME"),
        )
        await submission.commit(draft, b"by alias" if uid == self._alias_uid else b"by uid %d" % uid)


async def _timely(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            piece = await anext(frames, b"")
        if not piece:
            return
        yield piece


async def _gather(frames: _Frames) -> bytes:
    envelope = bytearray()
    async for piece in _timely(frames.text()):
        envelope += piece
        if len(envelope) > MAX_ENVELOPE_BYTES:
            raise ExitError(exits.REJECTED)
    return bytes(envelope)


def _exit_code(error: Exception) -> int:
    if isinstance(error, ExitError):
        return error.code
    known = {
        QueueFull: exits.WRITE_ERROR,
        BusDown: exits.REJECTED_FOR_NOW,
        EnvelopeTooLarge: exits.REJECTED,
        TimeoutError: exits.TIMEOUT,
        ControlError: exits.NO_CONFIGURATION,
    }
    for kind, code in known.items():
        if isinstance(error, kind):
            return code
    _log.exception("queue socket: submission failed")
    return exits.REJECTED_FOR_NOW


def caller_uid(writer: asyncio.StreamWriter) -> int:
    """The uid of the process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


async def serve_socket(
    path: Path,
    submitter: Submitter,
    role: str,
    *,
    max_bytes: Callable[[], int],
    exact: Callable[[], bool] = lambda: False,
    alias_uid: int | None = None,
) -> asyncio.Server:
    """Listen on the socket `path` for every user of this machine; a stale one is replaced.

    Its directory becomes this role's alone: whoever may write there could fill it, and with it the role's mark of
    health, or put a socket of his own in the place of this one. Close the server to end. Raises OSError."""
    # The engine makes a tmpfs that all may write to, and forgets another mode when it starts a container again.
    os.chmod(path.parent, 0o755)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    served = QueueSocket(submitter, role, max_bytes=max_bytes, exact=exact, alias_uid=alias_uid)
    server = await asyncio.start_unix_server(served.accept, path, limit=2 * netstring.MAX_FRAME_BYTES)
    os.chmod(path, 0o666)
    return server
