"""How many clients are connected, over all processes of the door (tcpserver -c), and how many from one address.

The counts lie in memory that the processes share, one row each; a row is written by its owner alone.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import zlib
from enum import Enum

# Addresses share counters by hash: with at most a few hundred clients two rarely meet in one of these.
_SLOTS = 1024
_PID, _TOTAL, _FIRST = 0, 1, 2
_ROW = _FIRST + _SLOTS


class Admitted(Enum):
    """Why a connection is not served, or that it is."""

    YES = "yes"
    FULL = "full"
    FULL_FOR_ADDRESS = "full for address"


class Admission:
    """Made before the processes are; each then calls `claim_row`."""

    def __init__(self, processes: int) -> None:
        self._rows = max(1, processes)
        self._file = os.memfd_create("smtpd-admission")
        size = self._rows * _ROW * 4
        os.ftruncate(self._file, size)
        self._cells = memoryview(mmap.mmap(self._file, size)).cast("I")
        self._row = 0

    def claim_row(self) -> None:
        """Take a row that nobody living owns: a process killed by a signal leaves its counts behind."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            free = next(row for row in range(self._rows) if not _lives(self._cells[row * _ROW + _PID]))
            self._row = free * _ROW
            self._cells[self._row : self._row + _ROW] = memoryview(bytes(_ROW * 4)).cast("I")
            self._cells[self._row + _PID] = os.getpid()
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def total(self) -> int:
        """Clients connected now, in all processes."""
        return self._sum(_TOTAL)

    def enter(self, ip: str, limit: int, limit_per_address: int) -> Admitted:
        """Count a client in unless a limit is reached. Two processes may pass the last place at the same moment."""
        slot = _slot(ip)
        if self._sum(_TOTAL) >= limit:
            return Admitted.FULL
        if self._sum(slot) >= limit_per_address:
            return Admitted.FULL_FOR_ADDRESS
        self._cells[self._row + _TOTAL] += 1
        self._cells[self._row + slot] += 1
        return Admitted.YES

    def leave(self, ip: str) -> None:
        """Count an admitted client out."""
        self._cells[self._row + _TOTAL] -= 1
        self._cells[self._row + _slot(ip)] -= 1

    def _sum(self, cell: int) -> int:
        return sum([self._cells[row * _ROW + cell] for row in range(self._rows)])


def _slot(ip: str) -> int:
    return _FIRST + zlib.crc32(ip.encode()) % _SLOTS


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
