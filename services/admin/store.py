"""The bus's store on the disk: a directory for each stream, and a place for what is kept of one that does not open."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Where nats-server keeps the streams of the one account.
STREAMS = Path("jetstream", "$G", "streams")
# Outside of it: the server takes each directory there for a stream, and removes one whose name begins with a dot.
ASIDE = "aside"
# With less the server's next write may fail, so it is not started again before there is so much (health.sh as well).
ROOM_BYTES = 16 * 1024 * 1024


def has_room(root: Path) -> bool:
    """Whether the disk below the store has room; one that cannot be asked is broken, and not full."""
    try:
        return shutil.disk_usage(root).free >= ROOM_BYTES
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class Store:
    """The store below `root`; `clock` gives seconds since 1970."""

    root: Path
    clock: Callable[[], float] = time.time

    def holds(self, name: str) -> bool:
        """Whether there is anything of a stream. Raises OSError."""
        return self._stream(name).is_dir()

    def keep(self, name: str) -> Path:
        """Link every file of a stream to a place of its own, where it outlives the stream; which place.

        Raises OSError."""
        kept = self.root / ASIDE / f"{name}-{int(self.clock() * 1000)}"
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(self._stream(name), kept, copy_function=os.link)
        return kept

    def has_all(self, name: str, kept: Path) -> bool:
        """Whether every file that was kept is still in the stream's own directory. Raises OSError."""
        pairs = [(path, self._stream(name) / path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()]
        return all(there.exists() and there.samefile(path) for path, there in pairs)

    def drop(self, kept: Path) -> None:
        """Forget what `keep` kept. Raises OSError."""
        shutil.rmtree(kept)

    def _stream(self, name: str) -> Path:
        return self.root / STREAMS / name
