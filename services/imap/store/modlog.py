"""The log of a folder's mod-sequences: what was changed last, and in which order (RFC 7162). Pure.

    imapmodseq 1 <uidvalidity> <floor>
    <uid> <digest>
    gone <UID set>
    = <mod-sequence> <CRC-32 of the batch's lines before, 8 hex digits>
    ...

Every line with `=` ends a batch, all of whose messages have its mod-sequence. A message's last line counts; `digest` is
the CRC-32 of its flags and keywords, so that changes which nobody wrote down are seen by comparing. What follows the
last whole batch was never written to its end. Up to mod-sequence `floor` it is not known any more what is gone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.imap.flags import Keywords
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.sequence import parse_sequence_set, render_set

MAGIC = b"imapmodseq 1"
#: Of a folder that nobody has asked about yet; the first batch has the next.
FIRST = 1


@dataclass(slots=True)
class ModLog:
    """What the batches give. `of`: mod-sequence and digest by UID; `gone`: batches of UIDs in their order; `length`: of
    what is whole, in octets; 0: nothing is."""

    validity: int = 0
    floor: int = FIRST
    highest: int = FIRST
    of: dict[int, tuple[int, int]] = field(default_factory=dict)
    gone: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    length: int = 0
    lines: int = 0

    def take(self, modseq: int, changed: Mapping[int, int], gone: tuple[int, ...]) -> None:
        """A batch."""
        self.highest = modseq
        for uid, digest in changed.items():
            self.of[uid] = (modseq, digest)
        for uid in gone:
            self.of.pop(uid, None)
        if gone:
            self.gone.append((modseq, gone))
        self.lines += len(changed) + 2

    def read(self, content: bytes) -> None:
        """Take in whole batches at the beginning of `content`, which goes on where the log ends."""
        batch: list[bytes] = []
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            if not line.startswith(b"= "):
                batch.append(line)
                continue
            if not self._take_batch(batch, line):
                return
            self.length += sum(map(len, batch)) + len(line)
            batch = []

    def _take_batch(self, batch: list[bytes], end: bytes) -> bool:
        words = end.split()
        if len(words) != 3 or not words[1].isdigit() or words[2] != _sum(batch):
            return False
        changed: dict[int, int] = {}
        gone: list[int] = []
        try:
            for line in batch:
                name, value = line.split()
                if name == b"gone":
                    ranges = parse_sequence_set(value).ranges
                    gone += (uid for low, high in ranges for uid in range(low, high + 1))
                else:
                    changed[int(name)] = int(value, 16)
        except (ValueError, BadSyntax):
            return False
        self.take(int(words[1]), changed, tuple(gone))
        return True


def start_log(content: bytes) -> ModLog:
    """The log that a file holds; an empty one where it is none of ours."""
    head, newline, rest = content.partition(b"\n")
    words = head.split(b" ")
    log = ModLog()
    if not newline or len(words) != 4 or b" ".join(words[:2]) != MAGIC or not (words[2] + words[3]).isdigit():
        return log
    log.validity, log.floor = int(words[2]), int(words[3])
    log.highest, log.length = max(FIRST, log.floor), len(head) + 1
    log.read(rest)
    return log


def render_head(validity: int, floor: int) -> bytes:
    """The first line."""
    return b"%b %d %d\n" % (MAGIC, validity, floor)


def render_batch(modseq: int, changed: Mapping[int, int], gone: Iterable[int]) -> bytes:
    """A batch as `ModLog.read` takes it in."""
    lines = [b"%d %08x\n" % one for one in changed.items()]
    if missing := render_set(gone):
        lines.append(b"gone " + missing + b"\n")
    return b"".join(lines) + b"= %d %b\n" % (modseq, _sum(lines))


def digest(flags: bytes, keywords: Keywords) -> int:
    """Of a message's flags."""
    return zlib.crc32(b" ".join((flags, *sorted(keywords))))


def _sum(lines: list[bytes]) -> bytes:
    return b"%08x" % zlib.crc32(b"".join(lines))
