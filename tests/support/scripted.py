"""A far end that follows a script: what it sends, what it waits for, how it ends a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ScriptedServer:
    """Listens on a free loopback port; each accepted connection runs the next list of steps.

    Steps: {"send": bytes}, {"sleep": seconds}, {"do": "line"} (read to LF), {"do": "data"} (read to
    CRLF.CRLF), {"do": "close"}, {"do": "reset"}. After the last step it reads to the end of the stream."""

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self._scripts = scripts
        self._server: asyncio.Server | None = None
        self._running: list[asyncio.Task[None]] = []
        self.received: list[bytearray] = []
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and wait until each connection has ended."""
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
            if await _play(script, reader, writer, received):
                received += await reader.read(-1)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _play(
    script: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: bytearray
) -> bool:
    """Run the steps; False when the connection is over."""
    for step in script:
        if "send" in step:
            writer.write(step["send"])
            await writer.drain()
        elif "sleep" in step:
            await asyncio.sleep(step["sleep"])
        elif step["do"] == "close":
            return False
        elif step["do"] == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
            return False
        elif not await _read_until(b"\n" if step["do"] == "line" else b"\r\n.\r\n", reader, received):
            return False
    return True


async def _read_until(end: bytes, reader: asyncio.StreamReader, received: bytearray) -> bool:
    # The dot may be the first line after DATA: the end is sought in what this step reads, one line before.
    seen = b"\n" if end == b"\n" else b"\r\n"
    while True:
        byte = await reader.read(1)
        if not byte:
            return False
        received += byte
        seen += byte
        if seen.endswith(end) and len(seen) > 1:
            return True
