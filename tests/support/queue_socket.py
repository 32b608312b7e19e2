"""The queue's socket over a bus in memory, and clients of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from qmail.bus import subjects
from qmail.message.address import Address
from qmail.message.envelope import Envelope, decode_envelope
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.queue.socket.client import SocketQueue
from qmail.queue.socket.server import serve_socket
from tests.support.memory_bus import MemoryBus


class ListeningSocket:
    """A listening socket over a bus in memory."""

    def __init__(self, directory: Path) -> None:
        self.bus = MemoryBus()
        self.path = directory / "queue"
        self.limit = 0
        self.exact = False
        self.aborted: list[bytes] = []

    def stored(self) -> list[tuple[Envelope, bytes]]:
        found = []
        for record in self.bus.streams[subjects.IN].records.values():
            header = base64.b64decode(record.headers[subjects.ENVELOPE_HEADER])
            found.append((decode_envelope(header), record.payload))
        return found

    async def run(self, test: Callable[[ListeningSocket], Awaitable[Any]], alias_uid: int | None = None) -> Any:
        ids = IdSource()
        ids.grant(1, 0, 2**62)
        await self.bus.subscribe("abort", lambda message: self.aborted.append(message.payload))
        server = await serve_socket(
            self.path,
            Submitter(self.bus, ids),
            "admin",
            max_bytes=lambda: self.limit,
            exact=lambda: self.exact,
            alias_uid=alias_uid,
        )
        try:
            async with asyncio.timeout(60):
                return await test(self)
        finally:
            server.close()


def put(path: Path, message: bytes, sender: bytes, recipients: list[bytes]) -> tuple[int, int]:
    queue = SocketQueue(path)
    queue.open()
    queue.write(message)
    return queue.finish(Address(sender), map(Address, recipients)), queue.number


def put_in_thread(*arguments: Any) -> Callable[[ListeningSocket], Awaitable[tuple[int, int]]]:
    return lambda door: asyncio.to_thread(put, door.path, *arguments)
