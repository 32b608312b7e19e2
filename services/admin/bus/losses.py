"""What the bus is known to have lost, on its volume, until an administrator acknowledges it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.admin.bus.marks import Range, count, render_ranges
from services.admin.install import Installer

LOSSES = "losses.json"
# Written by whoever acknowledges, while admin writes the other.
ACKNOWLEDGED = "acknowledged"
# Of a loss so many records are named, and so many losses are remembered.
MAX_NAMED = 100
MAX_LOSSES = 1000


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of a stream that it had and has no more; `since` in seconds since 1970.

    names: the subjects that are known, the first alone where there are many. kept: where what is left of them lies."""

    number: int
    stream: str
    ranges: tuple[Range, ...]
    names: tuple[str, ...]
    kept: str
    since: float

    @property
    def text(self) -> str:
        lost = count(self.ranges)
        many = f"{lost} record{'s' if lost != 1 else ''}" if lost else "records, it is not known how many,"
        where = f" ({render_ranges(self.ranges)})" if lost else ""
        which = f": {' '.join(self.names)}" if self.names else ""
        kept = f"; what is left of them is in {self.kept}" if self.kept else ""
        what = f"the bus has lost {many} of {self.stream} that it had acknowledged"
        return f"loss {self.number}: {what}{where}{which}{kept}"


class Losses:
    """The file of one store."""

    def __init__(self, root: Path, installer: Installer, clock: Callable[[], float] = time.time) -> None:
        self._root, self._installer, self._clock = root, installer, clock

    def all(self) -> list[Loss]:
        """Every loss that is remembered, the eldest first; one whose file cannot be read counts as none."""
        try:
            return [_read(each) for each in json.loads((self._root / LOSSES).read_text(encoding="ascii"))]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            return []

    def open(self) -> list[Loss]:
        """Those that nobody has acknowledged."""
        acknowledged = self._acknowledged()
        return [loss for loss in self.all() if loss.number > acknowledged]

    def known(self, stream: str) -> list[Range]:
        """What of a stream has been told before."""
        return [each for loss in self.all() if loss.stream == stream for each in loss.ranges]

    def add(self, stream: str, ranges: list[Range], names: list[str], kept: str) -> Loss:
        """Remember one more. Raises OSError."""
        losses = self.all()
        number = max((loss.number for loss in losses), default=self._acknowledged()) + 1
        loss = Loss(number, stream, tuple(ranges), tuple(names[:MAX_NAMED]), kept, self._clock())
        rows = [_row(each) for each in [*losses, loss][-MAX_LOSSES:]]
        self._installer.file(self._root / LOSSES, json.dumps(rows).encode("ascii"), 0o600)
        return loss

    def acknowledge(self) -> list[Loss]:
        """Those that were open. Raises OSError."""
        found = self.open()
        if found:
            self._installer.file(self._root / ACKNOWLEDGED, b"%d\n" % found[-1].number, 0o600)
        return found

    def _acknowledged(self) -> int:
        try:
            return int((self._root / ACKNOWLEDGED).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0


def _row(loss: Loss) -> dict[str, Any]:
    return {
        "number": loss.number,
        "stream": loss.stream,
        "ranges": [list(each) for each in loss.ranges],
        "names": list(loss.names),
        "kept": loss.kept,
        "since": loss.since,
    }


def _read(row: Mapping[str, Any]) -> Loss:
    ranges = tuple((int(first), int(last)) for first, last in row["ranges"])
    return Loss(
        int(row["number"]), str(row["stream"]), ranges, tuple(row["names"]), str(row["kept"]), float(row["since"])
    )
