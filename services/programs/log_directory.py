"""One directory of multilog(8): `current`, and `@<tai64n>.s` and `.u` files, at most so many, none larger than so much.

Whatever is in the way on the disk, multilog says it and waits: lines are not lost as long as it runs."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable

from qmail.message.dates import tai64n
from qmail.message.error_words import error_words
from services.programs.program import of_system, write_all

_PAUSE_SECONDS = 5
# A file is ended at a line's end from here to its limit.
_SLACK_BYTES = 2000
_WHOLE, _GROWING = 0o744, 0o644
_STAMP_CHARACTERS = 25


def _insist(what: bytes, act: Callable[[], object]) -> None:
    """Do it, and again every few seconds until it is done."""
    while True:
        try:
            act()
            return
        except OSError as error:
            said = b"multilog: warning: unable to " + what + b", pausing: " + error_words(error) + b"\n"
            write_all(2, said)
            time.sleep(_PAUSE_SECONDS)


class LogDirectory:
    """Open for one writer, which a lock sees to. Raises Ends where it cannot be had."""

    def __init__(self, name: bytes, max_bytes: int, max_files: int, processor: bytes) -> None:
        self._name, self._max_bytes, self._max_files, self._processor = name, max_bytes, max_files, processor
        self._pending = bytearray()
        self._fd, self._size = -1, 0
        try:
            if not os.path.isdir(name):
                os.mkdir(name, 0o700)
        except OSError:
            pass  # opening says it
        try:
            self._here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise of_system(b"multilog", b"unable to open directory " + name, error) from error
        try:
            self._lock = self._open(b"lock", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise of_system(b"multilog", b"unable to lock directory " + name, error) from error
        try:
            self._begin()
        except OSError as error:
            raise of_system(b"multilog", b"unable to write to " + name + b"/current", error) from error

    def write(self, data: bytes) -> None:
        """Take a line; `flush` puts it into the file."""
        self._pending += data

    def flush(self) -> None:
        """Write what was taken, and end files that are full."""
        while self._pending:
            if self._size >= self._max_bytes:
                self._end_current()
            length = self._piece()
            piece = bytes(self._pending[:length])
            _insist(b"write to " + self._name + b"/current", lambda piece=piece: write_all(self._fd, piece))  # type: ignore[misc]
            del self._pending[:length]
            self._size += length
            if self._size >= self._max_bytes - _SLACK_BYTES and piece.endswith(b"\n"):
                self._end_current()

    def close(self) -> None:
        """All is written and on the disk; the file is whole."""
        self.flush()
        _insist(b"write " + self._name + b"/current to disk", lambda: os.fsync(self._fd))
        _insist(b"set mode of " + self._name + b"/current", lambda: os.fchmod(self._fd, _WHOLE))

    def _piece(self) -> int:
        """How much of what is pending goes into this file."""
        length = min(len(self._pending), self._max_bytes - self._size)
        if self._size + length >= self._max_bytes - _SLACK_BYTES:
            end = self._pending.find(b"\n", max(0, self._max_bytes - _SLACK_BYTES - self._size), length)
            length = end + 1 if end >= 0 else length
        return length

    def _open(self, name: bytes, flags: int, mode: int = 0o644) -> int:
        return os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=self._here)

    def _mode(self, name: bytes) -> int | None:
        try:
            return os.stat(name, dir_fd=self._here).st_mode
        except FileNotFoundError:
            return None

    def _begin(self) -> None:
        """Go on with a file that is whole; one that was cut off is put away as such (`.u`)."""
        mode = self._mode(b"current")
        if mode is None or not mode & 0o100:
            self._remove(b"state", b"newstate")
            processed = self._mode(b"processed")
            if processed is not None and processed & 0o100:
                self._remove(b"previous")
                self._finish(b"processed", b"s")
            else:
                self._remove(b"processed")
                self._finish(b"previous", b"u")
            self._finish(b"current", b"u")
            os.close(self._open(b"state", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        self._open_current()

    def _open_current(self) -> None:
        self._fd = self._open(b"current", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.fchmod(self._fd, _GROWING)
        self._size = os.fstat(self._fd).st_size

    def _remove(self, *names: bytes) -> None:
        for name in names:
            try:
                os.unlink(name, dir_fd=self._here)
            except FileNotFoundError:
                pass  # as it should be

    def _end_current(self) -> None:
        where = b" in directory " + self._name
        _insist(b"write current to disk" + where, lambda: os.fsync(self._fd))
        os.close(self._fd)
        _insist(b"rename current" + where, lambda: self._rename(b"current", b"previous"))
        _insist(b"create current" + where, self._open_current)
        _insist(b"set mode of previous" + where, lambda: os.chmod(b"previous", _WHOLE, dir_fd=self._here))
        if not self._processor:
            _insist(b"finish previous" + where, lambda: self._finish(b"previous", b"s"))
            return
        _insist(b"process previous" + where, self._process)

    def _process(self) -> None:
        """previous through the processor to processed; its state from state to newstate. Raises OSError."""
        pid = os.fork()
        if pid == 0:
            self._be_processor()
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise BlockingIOError(11, "the processor failed")
        for name, mode in ((b"processed", _WHOLE), (b"newstate", _GROWING)):
            descriptor = self._open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.fsync(descriptor)
            os.fchmod(descriptor, mode)
            os.close(descriptor)
        self._remove(b"previous")
        self._rename(b"newstate", b"state")
        self._finish(b"processed", b"s")

    def _be_processor(self) -> None:
        try:
            os.fchdir(self._here)
            files = (("previous", os.O_RDONLY, 0), ("processed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1))
            states = (("state", os.O_RDONLY, 4), ("newstate", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 5))
            for name, flags, number in (*files, *states):
                os.dup2(os.open(name, flags, 0o644), number)
            os.execv("/bin/sh", ["sh", "-c", os.fsdecode(self._processor)])
        except OSError as error:
            sys.stderr.write(f"multilog: fatal: unable to run {os.fsdecode(self._processor)}: {error.strerror}\n")
            sys.stderr.flush()
        os._exit(111)

    def _rename(self, old: bytes, new: bytes) -> None:
        os.rename(old, new, src_dir_fd=self._here, dst_dir_fd=self._here)

    def _finish(self, name: bytes, code: bytes) -> None:
        """Give a file its last name, and remove the oldest beyond the number. Raises OSError."""
        if self._mode(name) is None:
            return
        self._rename(name, tai64n(time.time()).encode() + b"." + code)
        finished = [each for each in os.listdir(self._here) if each.startswith("@") and len(each) >= _STAMP_CHARACTERS]
        for each in sorted(finished)[: max(0, len(finished) - self._max_files + 1)]:
            os.unlink(each, dir_fd=self._here)
