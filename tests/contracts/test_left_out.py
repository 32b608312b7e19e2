"""What the server leaves out of its blocks when it starts, and that what was removed is not taken for a loss."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import Record
from services.admin.bus.store import BEFORE, STREAMS, Store
from tests.support.bus_server import BusServer

PIECE = b"x" * 400_000
# More than one block of 8 MB holds, so that the marks of what is removed lie in another block than it.
MESSAGES, KEPT, PIECES = 12, 2, 2


async def fill_and_remove(server: BusServer) -> None:
    bus = JetStreamBus("_INBOX_admin")
    await bus.connect(server.url, "admin", server.password("admin"), "test")
    for message in range(MESSAGES):
        for piece in range(PIECES):
            await bus.store(Record(f"body.{message}.{piece}", PIECE))
    for message in range(KEPT, MESSAGES):
        await bus.purge(subjects.BODY, f"body.{message}.*")
    await bus.close()


def test_a_block_that_the_server_rewrites_at_its_start_has_lost_nothing(tmp_path: Path) -> None:
    server = BusServer(tmp_path)
    server.start()
    try:
        server.make_streams()
        asyncio.run(fill_and_remove(server))
        server.stop(signal.SIGKILL)
        root = tmp_path / "store"
        blocks, kept = root / STREAMS / "BODY" / "msgs", root / BEFORE / "BODY" / "msgs"
        shutil.copytree(blocks, kept)
        server.start()
        first = min(blocks.glob("*.blk"), key=lambda path: int(path.stem))
        assert first.stat().st_size < (kept / first.name).stat().st_size, "the server rewrites it without them"
        assert Store(root).left_out("BODY", seen=0) == []
    finally:
        server.stop()
