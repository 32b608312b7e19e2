"""Whether the bus still holds what it had acknowledged; looked at each time that it comes back (decision 0010).

What it was seen to hold is put down every few seconds, beside its streams, and compared at the next look. A loss is an
alert and stands until an administrator acknowledges it; mail goes on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown
from qmail.bus.talk import lost
from qmail.bus.talk.messages import Malformed
from qmail.log.notices import Notices
from services.admin.bus.losses import MAX_NAMED, Loss, Losses
from services.admin.bus.marks import Mark, Range, mark_of, ranges_of, read_mark, replaced, went_back, without
from services.admin.bus.store import Store, kept_records
from services.admin.install import Installer

MARKS = "marks.json"
MARK_SECONDS = 5.0
END_SECONDS = 2.0
# More lost ranges than these are told as one.
MAX_RANGES = 100


class StoreWatch:
    """Of the streams whose names are given: all that are the truth."""

    def __init__(
        self, bus: JetStreamBus, store: Store, names: list[str], installer: Installer, losses: Losses, notices: Notices
    ) -> None:
        self._bus, self._store, self._names, self._installer = bus, store, names, installer
        self._losses, self._notices = losses, notices
        self._marks: dict[str, Mark] = {}
        self._looking = asyncio.Lock()

    async def begin(self) -> None:
        """Hear what the scheduler misses, and tell what nobody has acknowledged. Raises BusDown."""
        self._marks = self._read_marks()
        self._show()
        await lost.remember(self._bus, self._take, _ignore)

    async def look(self) -> None:
        """Compare with what was seen before the bus went away. Raises BusDown, OSError."""
        async with self._looking:
            missing = {name: ranges for name in self._names if (ranges := await self._missing(name))}
            if missing:
                kept = self._store.keep_before()
                for name, ranges in missing.items():
                    wanted = [range(first, last + 1) for first, last in ranges]
                    entries = kept_records(kept, name, wanted) if kept is not None else []
                    self._add(name, ranges, [entry.subject for _, entry in entries], str(kept or ""))
            else:
                self._store.drop_before()
            await self._put_down()

    async def end(self) -> None:
        """Put down what the bus holds, for the next start."""
        try:
            async with self._looking:
                await asyncio.wait_for(self._put_down(), END_SECONDS)
        except (BusDown, OSError, TimeoutError):
            return

    async def run(self) -> None:
        """Put down again and again what the bus holds."""
        while True:
            await asyncio.sleep(MARK_SECONDS)
            try:
                async with self._looking:
                    await self._put_down()
                self._show()
            except BusDown:
                continue
            except OSError as error:
                print(f"admin: marks: {error}", file=sys.stderr, flush=True)

    async def _missing(self, name: str) -> list[Range]:
        state = await self._state(name)
        before, now = self._marks.get(name), mark_of(state)
        found: list[Range] = []
        if before is not None:
            found += went_back(before, now) or await self._replaced(name, before, now)
        first, seen = (before.first, before.last) if before is not None else (0, 0)
        found += ranges_of(each.sequence for each in self._store.left_out(name, seen) if each.sequence >= first)
        if name == subjects.IN and now.missing:
            deleted = (await self._state(name, deleted_details=True)).get("deleted") or []
            found += ranges_of(number for number in deleted if number)
        return without(_merged(found), self._losses.known(name))[:MAX_RANGES]

    async def _replaced(self, name: str, before: Mark, now: Mark) -> list[Range]:
        """Whether the last record that was seen is another one by now, or, where none is ever removed, not there."""
        # Where nothing was there, nothing is missed.
        if not before.records or not now.first <= before.last <= now.last:
            return []
        answer = await self._bus.api(f"STREAM.MSG.GET.{name}", {"seq": before.last})
        if "error" in answer:
            # IN is purged from below alone, and may have been since it was asked for its state.
            lost = name == subjects.IN and mark_of(await self._state(name)).first <= before.last
            return [(before.last, before.last)] if lost else []
        return replaced(before, answer["message"]["time"])

    async def _state(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        answer = await self._bus.api(f"STREAM.INFO.{name}", arguments)
        if "error" in answer:
            raise BusDown(f"{name}: {answer['error'].get('description')}")
        state: Mapping[str, Any] = answer["state"]
        return state

    async def _put_down(self) -> None:
        marks = {name: mark_of(await self._state(name)) for name in self._names}
        if marks != self._marks:
            text = json.dumps({name: mark.as_dict() for name, mark in marks.items()})
            self._installer.file(self._store.root / MARKS, text.encode("ascii"), 0o600)
            self._marks = marks

    def _read_marks(self) -> dict[str, Mark]:
        """None where they cannot be read: then nothing is compared."""
        try:
            found = json.loads((self._store.root / MARKS).read_text(encoding="ascii"))
            return {name: read_mark(fields) for name, fields in found.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    async def _take(self, told: list[Range]) -> None:
        """The scheduler has read IN and found gaps: records that the server has and cannot read."""
        async with self._looking:
            ranges = without(_merged(told), self._losses.known(subjects.IN))
            if ranges:
                wanted = [range(first, last + 1) for first, last in ranges]
                kept, entries = await asyncio.to_thread(self._store.keep_blocks, subjects.IN, wanted)
                self._add(subjects.IN, ranges, [entry.subject for entry in entries], str(kept))

    def apart(self, name: str, kept: Path) -> None:
        """A stream was made anew without what it held, which is in another place. Raises OSError."""
        self._add(name, [], [], str(kept))

    def _add(self, stream: str, ranges: list[Range], names: list[str], kept: str) -> None:
        self._tell(self._losses.add(stream, ranges, names[:MAX_NAMED], kept))

    def _tell(self, loss: Loss) -> None:
        self._notices.stands(f"loss {loss.number}", loss.text)

    def _show(self) -> None:
        """What stands, and what was acknowledged since."""
        opened = {loss.number for loss in self._losses.open()}
        for loss in self._losses.all():
            if loss.number in opened:
                self._tell(loss)
            else:
                self._notices.mended(f"loss {loss.number}")


def _ignore(error: Malformed) -> None:
    print(f"admin: lost: {error}", file=sys.stderr, flush=True)


def _merged(ranges: list[Range]) -> list[Range]:
    """In order, none twice."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
