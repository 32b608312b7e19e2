"""What admin takes for a loss when the bus comes back, while the scheduler already works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from qmail.bus.jetstream import JetStreamBus
from qmail.log.notices import Notices
from services.admin.bus.losses import Losses
from services.admin.bus.marks import Mark
from services.admin.bus.store import Store
from services.admin.bus.store_watch import StoreWatch
from services.admin.install import Installer

TIME = "2026-11-28T15:00:00Z"


class Server:
    """Of a bus, IN with records 1 to 60; `purged` while the record is asked for. Record 60 cannot be read."""

    def __init__(self, *, purged: bool) -> None:
        self._mark = Mark(1, 60, TIME, 60)
        self._after = Mark(61, 60, TIME, 0) if purged else self._mark

    async def api(self, call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if call == "STREAM.MSG.GET.IN":
            assert arguments == {"seq": 60}
            self._mark = self._after
            return {"error": {"description": "no message found"}}
        assert call == "STREAM.INFO.IN"
        mark = self._mark
        state = {"first_seq": mark.first, "last_seq": mark.last, "last_ts": mark.last_time, "messages": mark.records}
        return {"state": state}

    async def subscribe(self, *_: object) -> None:
        """Nobody speaks to it."""


def losses_of(server: Server, root: Path) -> list[tuple[tuple[int, int], ...]]:
    """What is told by an admin that has seen the records before."""
    keeper = Installer(per_user=False)
    losses = Losses(root, keeper)
    bus = cast(JetStreamBus, server)

    async def work() -> None:
        watch = StoreWatch(bus, Store(root), ["IN"], keeper, losses, Notices(lambda _: None))
        await watch.end()
        await watch.begin()
        await watch.look()

    asyncio.run(work())
    return [loss.ranges for loss in losses.all()]


def test_what_the_scheduler_removes_while_admin_looks_is_no_loss(tmp_path: Path) -> None:
    assert losses_of(Server(purged=True), tmp_path) == []


def test_the_last_record_of_in_that_cannot_be_read_is_lost(tmp_path: Path) -> None:
    assert losses_of(Server(purged=False), tmp_path) == [((60, 60),)]
