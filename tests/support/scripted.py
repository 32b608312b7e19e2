"""A far end that follows a script: what it sends, what it waits for, how it ends a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_ENDS = {"line": b"\n", "data": b"\r\n.\r\n"}


class ScriptedServer:
    """Listens on a free loopback port; each accepted connection runs the next list of steps.

    Steps: {"send": bytes}, {"sleep": seconds}, {"do": "line"} (read to LF), {"do": "data"} (read to
    CRLF.CRLF), {"tell": Event} (set), {"do": "close"}, {"do": "reset"}. After the last step it reads to the end of the
    stream.
    A client that says nothing for `patience_seconds` while it should is left."""

    def __init__(self, scripts: Sequence[Sequence[Step]], patience_seconds: float = 30.0) -> None:
        self._scripts = scripts
        self._patience_seconds = patience_seconds
        self._server: asyncio.Server | None = None
        self._running: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.received: list[bytearray] = []
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and wait until each connection has ended; who sleeps is woken."""
        self._stopping.set()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.append(task)
        number = len(self.received)
        received = bytearray()
        self.received.append(received)
        script = self._scripts[number] if number < len(self._scripts) else []
        try:
            if await self._play(script, reader, writer, received):
                await self._read_until(None, reader, received)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _play(
        self,
        script: Sequence[Step],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        received: bytearray,
    ) -> bool:
        """Run the steps; False when the connection is over."""
        for step in script:
            if "send" in step:
                writer.write(step["send"])
                await writer.drain()
            elif "tell" in step:
                step["tell"].set()
            elif "sleep" in step:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), step["sleep"])
            elif step["do"] == "close":
                return False
            elif step["do"] == "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                writer.transport.abort()
                return False
            elif not await self._read_until(_ENDS[step["do"]], reader, received):
                return False
        return True

    async def _read_until(self, end: bytes | None, reader: asyncio.StreamReader, received: bytearray) -> bool:
        """Read up to `end` (None: to the end of the stream); False when the stream ended before."""
        # The dot may be the first line after DATA: the step before has read the CRLF in front of it.
        seen = b"\r\n" if end == _ENDS["data"] else b""
        while True:
            async with asyncio.timeout(self._patience_seconds):
                piece = await reader.read(1 if end else 65536)
            if not piece:
                return False
            received += piece
            if end:
                seen = (seen + piece)[-len(end) :]
                if seen == end:
                    return True
