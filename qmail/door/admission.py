"""How many clients are connected to each door of a role, over all its processes, and how many from one address.

The counts lie in memory that the processes share, one row each; a row is written by its owner alone.
"""

from __future__ import annotations

import fcntl
import ipaddress
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# Addresses share counters by hash, which no client knows: two of a few hundred rarely meet in one of these.
_SLOTS = 16_384
_PID = 0


class Admitted(Enum):
    """Why a connection is not served, or that it is."""

    YES = "yes"
    FULL = "full"
    FULL_FOR_ADDRESS = "full for address"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many may be connected to a door, and from one address."""

    connections: int
    connections_per_address: int


class Admission:
    """Made before the processes are; each then calls `claim_row`. The doors do not take each other's places."""

    def __init__(self, processes: int, doors: Sequence[str] = ("",)) -> None:
        self._rows = max(1, processes)
        self._doors = {door: 1 + number for number, door in enumerate(doors)}
        self._first_slot = 1 + len(doors)
        self._width = self._first_slot + _SLOTS
        self._file = os.memfd_create("admission")
        size = self._rows * self._width * 4
        os.ftruncate(self._file, size)
        self._cells = memoryview(mmap.mmap(self._file, size)).cast("I")
        self._row = 0

    def claim_row(self) -> None:
        """Take a row that nobody living owns: a process killed by a signal leaves its counts behind."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            free = next(row for row in range(self._rows) if not _lives(self._cells[row * self._width + _PID]))
            self._row = free * self._width
            self._cells[self._row : self._row + self._width] = memoryview(bytes(self._width * 4)).cast("I")
            self._cells[self._row + _PID] = os.getpid()
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def total(self, door: str = "") -> int:
        """Clients connected to a door now, in all processes."""
        return self._sum(self._doors[door])

    def enter(self, ip: str, budget: Budget, door: str = "") -> Admitted:
        """Count a client in unless a limit is reached. Two processes may pass the last place at the same moment."""
        total, slot = self._doors[door], self._slot(ip, door)
        if self._sum(total) >= budget.connections:
            return Admitted.FULL
        if self._sum(slot) >= budget.connections_per_address:
            return Admitted.FULL_FOR_ADDRESS
        self._cells[self._row + total] += 1
        self._cells[self._row + slot] += 1
        return Admitted.YES

    def leave(self, ip: str, door: str = "") -> None:
        """Count an admitted client out."""
        self._cells[self._row + self._doors[door]] -= 1
        self._cells[self._row + self._slot(ip, door)] -= 1

    @property
    def empty(self) -> bool:
        """Whether this process counts nobody."""
        row = self._cells[self._row + 1 : self._row + self._width]
        return not any(row)

    def _slot(self, ip: str, door: str) -> int:
        # Processes that were forked from one have one key for their hashes.
        return self._first_slot + hash((door, _network(ip))) % _SLOTS

    def _sum(self, cell: int) -> int:
        width = self._width
        return sum([self._cells[row * width + cell] for row in range(self._rows)])


def _network(ip: str) -> str | int:
    """What one client may choose its addresses from: for IPv6 the first 64 bits (RFC 4291 section 2.5.4)."""
    if ":" not in ip:
        return ip
    return int(ipaddress.IPv6Address(ip.partition("%")[0])) >> 64


def _lives(pid: int) -> bool:
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
