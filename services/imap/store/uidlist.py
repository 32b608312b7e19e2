"""UID lists: numbered files claimed by link(2), safe with any number of writers and at any crash.

In each folder, `imapuids/<n>` is either the whole list or an increment to file n-1:

    imapuids 1 whole|more <n> <uidvalidity> <uidnext> <recent> <sum of file n-1, or ->
    <uid> <base name>
    ...
    end <CRC-32 of all before, 8 hex digits>

A writer that knows n as the highest prepares n+1 under another name and links it: of two writers one gets EEXIST, reads
again and does its work anew. Files below a whole list are removed. `recent` is the first UID that no session has been
told as \\Recent. Pure: reading and rendering; the claiming is in `uidstore`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

MAGIC = b"imapuids 1"
MAX_UID = 2**32 - 1


class InvalidList(Exception):
    """The file is not a complete list file."""


@dataclass(frozen=True, slots=True)
class ListFile:
    """One file's content. `below` is the sum of the file that an increment goes on from, empty for a whole list."""

    number: int
    validity: int
    next_uid: int
    recent: int
    below: bytes
    entries: tuple[tuple[int, bytes], ...]
    sum: bytes

    @property
    def whole(self) -> bool:
        return not self.below


@dataclass(slots=True)
class UidList:
    """The state that a chain of files gives. `number` 0: there is no file yet."""

    number: int = 0
    validity: int = 0
    next_uid: int = 1
    recent: int = 1
    sum: bytes = b""
    chain: int = 0
    #: In the order of the UIDs.
    uids: dict[bytes, int] = field(default_factory=dict)

    def extended(self, file: ListFile) -> None:
        """Take an increment in."""
        self.number, self.next_uid, self.recent, self.sum = file.number, file.next_uid, file.recent, file.sum
        self.chain += 1
        for uid, base in file.entries:
            self.uids.setdefault(base, uid)

    def since(self, first: int) -> list[tuple[int, bytes]]:
        """UIDs from `first` on, and whose they are, in order: found without a look at those below."""
        found = []
        for base, uid in reversed(self.uids.items()):
            if uid < first:
                break
            found.append((uid, base))
        return found[::-1]


def start_list(file: ListFile) -> UidList:
    """The state that a whole list gives."""
    state = UidList(file.number, file.validity, file.next_uid, file.recent, file.sum, 1)
    state.uids = {base: uid for uid, base in sorted(file.entries)}
    return state


def parse_file(content: bytes) -> ListFile:
    """Raises InvalidList for a file that is cut short, altered or something else."""
    body, mark, tail = content.rpartition(b"end ")
    check = b"%08x" % zlib.crc32(body)
    if not mark or tail != check + b"\n":
        raise InvalidList("sum does not fit")
    lines = body.split(b"\n")
    head = lines[0].split(b" ")
    if len(head) != 8 or b" ".join(head[:2]) != MAGIC or head[2] not in (b"whole", b"more"):
        raise InvalidList("unknown format")
    try:
        number, validity, next_uid, recent = map(int, head[3:7])
        pairs = (line.split(b" ", 1) for line in lines[1:-1])
        entries = tuple((int(uid), base) for uid, base in pairs)
    except ValueError as error:
        raise InvalidList("bad number") from error
    below = b"" if head[2] == b"whole" else head[7]
    return ListFile(number, validity, next_uid, recent, below, entries, check)


def render_file(file: ListFile) -> bytes:
    """The content of a list file; `file.sum` is not looked at."""
    kind, below = (b"whole", b"-") if file.whole else (b"more", file.below)
    lines = [b"%b %b %d %d %d %d %b" % (MAGIC, kind, file.number, file.validity, file.next_uid, file.recent, below)]
    lines += (b"%d %b" % entry for entry in file.entries)
    body = b"\n".join(lines) + b"\n"
    return body + b"end %08x\n" % zlib.crc32(body)


def parse_courier(content: bytes) -> UidList | None:
    """Courier's `courierimapuiddb`: `1 UIDVALIDITY NEXTUID`, then `UID basename`. None: not such a file.

    Lines that cannot be understood are left out; their messages get new UIDs, since NEXTUID is never gone below."""
    lines = content.split(b"\n")
    head = lines[0].split()
    if len(head) != 3 or head[0] != b"1" or not (head[1].isdigit() and head[2].isdigit()):
        return None
    state = UidList(validity=int(head[1]) % 2**32, next_uid=int(head[2]))
    taken: set[int] = set()
    for line in lines[1:]:
        number, _, base = line.partition(b" ")
        if number.isdigit() and base and int(number) not in taken and base not in state.uids:
            state.uids[base] = int(number)
            taken.add(int(number))
    state.uids = dict(sorted(state.uids.items(), key=lambda entry: entry[1]))
    state.next_uid = max([state.next_uid, *(uid + 1 for uid in taken)])
    state.recent = state.next_uid
    return state if state.validity and state.next_uid <= MAX_UID else None
