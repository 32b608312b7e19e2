"""What appears in a folder's new and cur and what goes, named by the kernel (inotify(7)): a change costs what it is,
not a look at all messages. Any thread.

Nothing rests on it alone: directory times say whether there is anything to hear of, and where they do and nothing was
heard the folder is read. Not where others may change a file system without this kernel (NFS), nor where it has no room
for one more watch.

Why: docs/decisions/0033-one-view-of-a-folder.md.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading

_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO = 0x100, 0x200, 0x40, 0x80
_ONLYDIR, _OVERFLOW, _IGNORED = 0x01000000, 0x4000, 0x8000
_MASK = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _ONLYDIR
_APPEARED = _CREATE | _MOVED_TO
_HEAD = struct.Struct("iIII")
_READ_BYTES = 256 * 1024
# Of one folder, unheard: reading it anew is cheaper then.
MAX_PENDING = 20_000
_LOCAL = frozenset((b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"tmpfs", b"f2fs", b"zfs", b"overlay", b"bcachefs"))

#: Path below the folder; whether it is there.
Events = dict[bytes, bool]


class Watch:
    """Of one folder."""

    def __init__(self) -> None:
        self.directories: dict[int, bytes] = {}
        self.pending: Events = {}
        self.lost = False


class Watches:
    """One a process. Where the kernel gives none every `begin` is None."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._of: dict[int, list[Watch]] = {}

    def close(self) -> None:
        """Hear no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def begin(self, folder: int) -> Watch | None:
        """Watch an open folder, which the caller may read; None: it cannot be. What is heard begins here."""
        if self._fd < 0 or not _is_local(folder):
            return None
        watch = Watch()
        with self._lock:
            for name in (b"new", b"cur"):
                number = self._libc.inotify_add_watch(self._fd, b"/proc/self/fd/%d/%b" % (folder, name), _MASK)
                if number < 0:
                    self._forget(watch)
                    return None
                watch.directories[number] = name + b"/"
                self._of.setdefault(number, []).append(watch)
        return watch

    def end(self, watch: Watch) -> None:
        """Watch it no longer."""
        with self._lock:
            self._forget(watch)

    def _forget(self, watch: Watch) -> None:
        for number in watch.directories:
            watching = self._of.get(number, [])
            if watch in watching:
                watching.remove(watch)
            if not watching and self._of.pop(number, None) is not None:
                self._libc.inotify_rm_watch(self._fd, number)
        watch.directories.clear()

    def take(self, watch: Watch) -> Events | None:
        """What became of which path since the last time; None: not all of it is known."""
        with self._lock:
            self._hear()
            heard, lost = watch.pending, watch.lost
            watch.pending, watch.lost = {}, not watch.directories
        return None if lost else heard

    def _hear(self) -> None:
        while True:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except OSError:
                return  # there is no more
            at = 0
            while at < len(data):
                number, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                self._tell(number, mask, data[at - length : at].rstrip(b"\0"))

    def _tell(self, number: int, mask: int, name: bytes) -> None:
        if mask & _OVERFLOW:
            for watching in self._of.values():
                for watch in watching:
                    watch.lost = True
            return
        for watch in self._of.get(number, ()):
            if mask & _IGNORED:
                watch.lost = True
            elif len(watch.pending) >= MAX_PENDING:
                watch.lost, watch.pending = True, {}
            else:
                watch.pending[watch.directories[number] + name] = bool(mask & _APPEARED)
        if mask & _IGNORED:
            for watch in self._of.pop(number, ()):
                watch.directories.pop(number, None)


def _is_local(folder: int) -> bool:
    """Whether all changes of its file system go through this kernel."""
    device = os.fstat(folder).st_dev
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                fields = line.split()
                if fields[2] == wanted:
                    return fields[fields.index(b"-") + 1] in _LOCAL
    except (OSError, ValueError):
        return False
    return False
