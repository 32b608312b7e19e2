"""One TCP connection as an asyncio protocol: bounded reading, writing that waits, TLS in mid-stream."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

# Beyond this, reading stops until the bytes are taken: a chatty peer cannot fill memory.
MAX_UNREAD_BYTES = 64 * 1024
# A peer that does not take our last bytes is cut off after this.
_LINGER_SECONDS = 5.0


class ConnectionLostError(Exception):
    """The far host closed or reset the connection; `reset` tells which."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("connection reset" if reset else "connection closed")
        self.reset = reset


class Wire(asyncio.Protocol):
    """Bytes to and from one far host. One reader and one writer at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._reading_paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._readable = asyncio.Event()
        self._lost: ConnectionLostError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop, again when TLS begins."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._unread += data
        self._readable.set()
        if len(self._unread) > MAX_UNREAD_BYTES and self._transport and not self._reading_paused:
            self._transport.pause_reading()
            self._reading_paused = True

    def eof_received(self) -> bool:
        """Called by the loop: the far host sends no more."""
        self._end(reset=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._end(reset=isinstance(exc, ConnectionError))

    def pause_writing(self) -> None:
        """Called by the loop: the far host is slower than we are."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self._writable.set()

    def _end(self, *, reset: bool) -> None:
        if self._lost is None:
            self._lost = ConnectionLostError(reset=reset)
        self._readable.set()
        self._writable.set()

    @property
    def is_quiet(self) -> bool:
        """Whether the connection stands and nothing unread has come by it."""
        return self._lost is None and not self._unread

    async def read(self) -> bytes:
        """Whatever has come, at least one byte. Raises ConnectionLostError when no more will come."""
        await self._readable.wait()
        if not self._unread and self._lost is not None:
            raise self._lost
        data = bytes(self._unread)
        self._unread.clear()
        if self._lost is None:
            self._readable.clear()
        if self._reading_paused and self._transport is not None:
            self._transport.resume_reading()
            self._reading_paused = False
        return data

    @property
    def is_full(self) -> bool:
        """Whether the far host takes less than we have written: `drain` before more is written."""
        return not self._writable.is_set()

    def write(self, data: bytes) -> None:
        """Send. Raises ConnectionLostError."""
        if self._lost is not None or self._transport is None:
            raise self._lost or ConnectionLostError(reset=False)
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the far host takes nothing. Raises ConnectionLostError."""
        await self._writable.wait()
        if self._lost is not None:
            raise self._lost

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Begin TLS as the client; plain bytes that came before are dropped (RFC 3207 4.2).

        Raises ssl.SSLError, OSError or ConnectionLostError where it fails."""
        if self._lost is not None or self._transport is None:
            raise self._lost or ConnectionLostError(reset=False)
        self._unread.clear()
        self._readable.clear()
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self, context, server_hostname=name)
        if transport is None:
            raise ConnectionLostError(reset=False)
        self._transport = transport

    def close(self) -> None:
        """Send what is buffered and close; cut off a peer that does not take it."""
        transport = self._transport
        if transport is not None:
            transport.close()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, transport.abort)

    def abort(self) -> None:
        """Close at once, without what is buffered."""
        if self._transport is not None:
            self._transport.abort()


async def open_wire(address: str, port: int) -> Wire:
    """Connect to a literal address. Raises OSError where the connection is refused or impossible."""
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, address, port)
    return wire
