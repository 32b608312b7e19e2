"""A folder's mod-sequences on disk: `imapmodseq`, a log (`modlog`) that is appended to under flock(2). Blocking.

It is begun when a client first asks for mod-sequences; who never does pays nothing for them. Other programs' changes,
and those made while nobody looked, get their mod-sequence when they are seen.

Why: docs/decisions/0031-mod-sequences-in-a-log.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from services.imap.store import files
from services.imap.store.message import Message
from services.imap.store.modlog import FIRST, ModLog, digest, render_batch, render_head, start_log

FILE = b"imapmodseq"
#: UIDs that are known to be gone; of older ones it is forgotten when they went.
MAX_GONE = 10_000
# The log is written anew once it has so many lines more than four for each message.
_DEAD_LINES = 2_000
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class ModSeqs:
    """One folder's; used under the folder's lock."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._log = ModLog()
        self._file: tuple[int, int] = (0, 0)

    @property
    def highest(self) -> int:
        """HIGHESTMODSEQ as of the last look."""
        return self._log.highest

    def begun(self) -> bool:
        """Whether anybody has ever asked for the folder's mod-sequences."""
        try:
            return os.stat(FILE, dir_fd=self._folder, follow_symlinks=False).st_size > 0
        except OSError:
            return False

    def of(self, uid: int) -> int:
        """A message's mod-sequence."""
        known = self._log.of.get(uid)
        return known[0] if known else self._log.highest

    def gone_since(self, modseq: int) -> list[int] | None:
        """UIDs that went after it, ascending; None: that is not known any more."""
        if modseq < self._log.floor:
            return None
        return sorted(uid for at, uids in self._log.gone if at > modseq for uid in uids)

    def update(self, validity: int, messages: Mapping[int, Message], looked: Collection[int] | None) -> None:
        """Give what has changed its mod-sequence. `looked`: UIDs that may have changed; None: all. Raises OSError.

        Another process may have done so already: its batches are read first."""
        if looked is not None and not looked:
            return
        with self._locked() as fd:
            self._catch_up(fd, validity)
            known = self._log.of
            looked = messages.keys() | known.keys() if looked is None else looked
            changed = {}
            for uid in sorted(looked):
                message = messages.get(uid)
                found = None if message is None else digest(message.flags, message.keywords)
                if found is not None and (uid not in known or known[uid][1] != found):
                    changed[uid] = found
            gone = tuple(sorted(uid for uid in looked if uid in known and uid not in messages))
            if changed or gone or self._log.highest == FIRST:
                self._append(fd, changed, gone)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file that has the name now, locked against other processes."""
        while True:
            fd = os.open(FILE, _OPEN, 0o600, dir_fd=self._folder)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if self._is_current(fd):
                    yield fd
                    return
            finally:
                os.close(fd)

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(FILE, dir_fd=self._folder, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _catch_up(self, fd: int, validity: int) -> None:
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if identity == self._file and self._log.length and status.st_size >= self._log.length:
            self._log.read(files.read_range(fd, self._log.length, status.st_size))
        else:
            self._log = start_log(files.read_range(fd, 0, status.st_size))
            self._file = identity
        if self._log.validity != validity:
            # UIDs mean other messages now; mod-sequences go on, so that no client takes an old one for a new one.
            self._log = ModLog(validity=validity, floor=self._log.highest, highest=self._log.highest)

    def _append(self, fd: int, changed: Mapping[int, int], gone: tuple[int, ...]) -> None:
        log = self._log
        modseq = log.highest + 1
        if log.length == 0 or log.lines > 4 * len(log.of) + _DEAD_LINES:
            log.take(modseq, changed, gone)
            self._write_anew()
            return
        batch = render_batch(modseq, changed, gone)
        os.ftruncate(fd, log.length)  # what somebody has begun and not ended
        _write(fd, log.length, batch)
        os.fsync(fd)
        log.take(modseq, changed, gone)
        log.length += len(batch)

    def _write_anew(self) -> None:
        """The whole log in a file of its own, then in place."""
        log = self._log
        self._forget_oldest()
        batches: dict[int, dict[int, int]] = {}
        for uid, (modseq, found) in log.of.items():
            batches.setdefault(modseq, {})[uid] = found
        gone = dict(log.gone)
        content = render_head(log.validity, log.floor)
        for modseq in sorted({*batches, *gone, log.highest}):
            content += render_batch(modseq, batches.get(modseq, {}), sorted(gone.get(modseq, ())))
        files.replace_file(self._folder, b"", FILE, content)
        files.sync_directory(self._folder, b".")
        log.length, log.lines = len(content), content.count(b"\n")
        status = os.stat(FILE, dir_fd=self._folder, follow_symlinks=False)
        self._file = (status.st_dev, status.st_ino)

    def _forget_oldest(self) -> None:
        log = self._log
        total = sum(len(uids) for _, uids in log.gone)
        while log.gone and total > MAX_GONE:
            modseq, uids = log.gone.pop(0)
            total -= len(uids)
            log.floor = modseq


def _write(fd: int, at: int, content: bytes) -> None:
    while content:
        written = os.pwrite(fd, content, at)
        content, at = content[written:], at + written
