"""The bus's store on the disk: a directory for each stream, and a place for what is kept of one that does not open."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from services.admin.bus.blocks import Entry, left_out, marked_gone, read_block

# Where nats-server keeps the streams of the one account.
STREAMS = Path("jetstream", "$G", "streams")
# Outside of it: the server takes each directory there for a stream, and removes one whose name begins with a dot.
ASIDE = "aside"
# What the streams were before the server read them the last time (services/bus/start.sh).
BEFORE = "before"
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
        kept = self._place(name)
        shutil.copytree(self._stream(name), kept / name, copy_function=os.link)
        return kept

    def has_all(self, name: str, kept: Path) -> bool:
        """Whether every file that was kept is still in the stream's own directory. Raises OSError."""
        files = [path for path in kept.rglob("*") if path.is_file()]
        pairs = [(path, self._stream(name) / path.relative_to(kept / name)) for path in files]
        return all(there.exists() and there.samefile(path) for path, there in pairs)

    def drop(self, kept: Path) -> None:
        """Forget what `keep` kept. Raises OSError."""
        shutil.rmtree(kept)

    def drop_before(self) -> None:
        """Nothing of what there was before the start is missed. Raises OSError."""
        shutil.rmtree(self.root / BEFORE, ignore_errors=True)

    def keep_before(self) -> Path | None:
        """Keep what there was before the start; where it is now, None where there is nothing. Raises OSError."""
        if not (self.root / BEFORE).is_dir():
            return None
        return (self.root / BEFORE).rename(self._place(BEFORE))

    def left_out(self, name: str, seen: int) -> list[Entry]:
        """The records that a stream had before the start and that its blocks have no more.

        Without those that were removed or overwritten: of these the server rids a block when it rewrites it, at its
        start for one. And without an unfinished last one above the sequence that was `seen`: the power failed while it
        was written, and nobody was told that it is there. Raises OSError."""
        found: list[Entry] = []
        block = None
        for block in _blocks(self.root / BEFORE / name):
            now = self._stream(name) / "msgs" / block.name
            if now.exists() and not now.samefile(block) and (entries := left_out(block.read_bytes(), now.read_bytes())):
                found += self._unexplained(name, block, entries)
        if block is not None and found and found[-1].sequence > seen and not found[-1].is_whole(name, int(block.stem)):
            found.pop()
        return found

    def _unexplained(self, name: str, block: Path, entries: list[Entry]) -> list[Entry]:
        """Those of a block that no later record stands for. What says so is mostly in a later block."""
        gone, last = set[int](), dict[str, int]()
        for directory in (self.root / BEFORE / name, self._stream(name)):
            for later in _blocks(directory):
                if int(later.stem) >= int(block.stem):
                    data = later.read_bytes()
                    gone.update(marked_gone(data))
                    last.update((entry.subject, entry.sequence) for entry in read_block(data))
        return [e for e in entries if e.sequence not in gone and last.get(e.subject, 0) <= e.sequence]

    def keep_blocks(self, name: str, sequences: Iterable[range]) -> tuple[Path, list[Entry]]:
        """Copy those blocks of a stream that have one of the sequences; where to, and these records.

        Raises OSError."""
        wanted, found = list(sequences), list[Entry]()
        kept = self._place(name)
        (kept / name / "msgs").mkdir(parents=True)
        for block in _blocks(self._stream(name)):
            entries = _within(block, wanted)
            if entries:
                shutil.copy2(block, kept / name / "msgs" / block.name)
            found += entries
        return kept, found

    def _place(self, name: str) -> Path:
        place = self.root / ASIDE / f"{name}-{int(self.clock() * 1000)}"
        place.parent.mkdir(mode=0o700, exist_ok=True)
        return place

    def _stream(self, name: str) -> Path:
        return self.root / STREAMS / name


def kept_records(directory: Path, name: str, sequences: Iterable[range]) -> list[tuple[int, Entry]]:
    """Of what was kept of a stream, the records of these sequences, with the number of their block. Raises OSError."""
    wanted = list(sequences)
    return [(int(block.stem), entry) for block in _blocks(directory / name) for entry in _within(block, wanted)]


def _blocks(stream: Path) -> list[Path]:
    """The blocks of a stream in order."""
    return sorted((stream / "msgs").glob("*.blk"), key=lambda path: (len(path.name), path.name))


def _within(block: Path, wanted: Iterable[range]) -> list[Entry]:
    return [entry for entry in read_block(block.read_bytes()) if any(entry.sequence in each for each in wanted)]
