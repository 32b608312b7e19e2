"""What a block of the bus's store holds, read without its server: to name what it left out, and to bring it back.

A block is records one after another (nats-server's filestore.go): length (4 bytes, the highest bit: it has headers),
sequence (8), time (8), length of the subject (2), subject, [length of the headers (4), headers,] payload, checksum (8).
Records that only say that others are gone have a bit set in the sequence.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from services.admin.bus.highwayhash import highwayhash

_HEAD = struct.Struct("<IQQH")
_HAS_HEADERS = 1 << 31
_GONE = 3 << 62
_CHECKSUM_BYTES = 8
MAX_RECORD_BYTES = 32 * 1024 * 1024
_SUBJECT = re.compile(rb"(?:in|hold|state|done|body|envelope|node)\.[0-9.-]{1,64}|lease|paused")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it lies there; `is_whole` says whether it is what was stored."""

    sequence: int
    subject: str
    headers: bytes
    payload: bytes
    stamp: bytes
    checksum: bytes

    def is_whole(self, stream: str, block: int) -> bool:
        """Whether the checksum fits; of a MB it takes about a second."""
        key = hashlib.sha256(f"{stream}-{block}".encode("ascii")).digest()
        data = self.stamp + self.subject.encode("ascii") + self.headers + self.payload
        return highwayhash(key, data).to_bytes(_CHECKSUM_BYTES, "little") == self.checksum


def read_block(data: bytes, start: int = 0) -> Iterator[Entry]:
    """The whole records from a place on; where one is not to be understood, the next that is."""
    at = start
    while at + _HEAD.size <= len(data):
        end = _end_of(data, at)
        if end is None:
            at = _next_head(data, at + 1)
            continue
        if not _HEAD.unpack_from(data, at)[1] & _GONE:
            yield _entry(data, at, end)
        at = end


def _end_of(data: bytes, at: int) -> int | None:
    """Where the record that begins here ends; None where none does."""
    length, sequence, _, subject_bytes = _HEAD.unpack_from(data, at)
    size = length & ~_HAS_HEADERS
    least = _HEAD.size + subject_bytes + (4 if length & _HAS_HEADERS else 0) + _CHECKSUM_BYTES
    if not least <= size <= MAX_RECORD_BYTES or at + size > len(data):
        return None
    begin = at + _HEAD.size
    subject = data[begin : begin + subject_bytes]
    return at + size if sequence & _GONE or _SUBJECT.fullmatch(subject) else None


def _entry(data: bytes, at: int, end: int) -> Entry:
    length, sequence, _, subject_bytes = _HEAD.unpack_from(data, at)
    begin = at + _HEAD.size + subject_bytes
    subject = data[begin - subject_bytes : begin].decode("ascii")
    headers = b""
    if length & _HAS_HEADERS:
        size = int.from_bytes(data[begin : begin + 4], "little")
        headers, begin = data[begin + 4 : begin + 4 + size], begin + 4 + size
    checksum = end - _CHECKSUM_BYTES
    return Entry(sequence, subject, headers, data[begin:checksum], data[at + 4 : at + 20], data[checksum:end])


def _next_head(data: bytes, at: int) -> int:
    """Where the next record may begin: before something that looks like a subject."""
    for match in _SUBJECT.finditer(data, at + _HEAD.size):
        if _end_of(data, match.start() - _HEAD.size) is not None:
            return match.start() - _HEAD.size
    return len(data)


def left_out(before: bytes, after: bytes) -> list[Entry]:
    """The records that a block had and has no more, because it was cut off at a damaged one, which comes first.

    after: the block since; what was written to it meanwhile differs from what it had. A block from which records were
    removed one by one has later ones still, or says that they are gone."""
    at = _common(before, after)
    whole = {entry.sequence for entry in read_block(before[:at])}
    found = [entry for entry in read_block(before) if entry.sequence not in whole]
    named = set(_named(after))
    return [] if any(entry.sequence in named for entry in found) else found


def _named(data: bytes) -> Iterator[int]:
    """The sequences of all records of a block, of those too that are gone."""
    return (sequence & ~_GONE for sequence in _sequences(data))


def marked_gone(data: bytes) -> Iterator[int]:
    """The sequences, of this block or an earlier one, of which a block says that their records were removed."""
    return (sequence & ~_GONE for sequence in _sequences(data) if sequence & _GONE)


def _sequences(data: bytes) -> Iterator[int]:
    at = 0
    while at + _HEAD.size <= len(data) and (end := _end_of(data, at)) is not None:
        yield _HEAD.unpack_from(data, at)[1]
        at = end


def _common(before: bytes, after: bytes) -> int:
    """How many bytes two blocks have in common from their beginning."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before[:middle] == after[:middle] else (low, middle - 1)
    return low


def header_fields(headers: bytes) -> dict[str, str]:
    """The fields of a record's headers."""
    lines = headers.decode("utf-8", "replace").split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
