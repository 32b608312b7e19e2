"""An ext4 file system in a file, whose power can be cut: what it had not synced is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployment import eventually
from tests.support.needs import missing_machine, need

# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (linux/fs/ext4/ext4.h): from now on nothing reaches the disk, and
# what the journal had not written yet never will.
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


class LoopDisk:
    """Mounted at `directory`."""

    def __init__(self, image: Path, directory: Path) -> None:
        self._image, self.directory = image, directory

    def make(self, megabytes: int) -> None:
        """Raises CalledProcessError, FileNotFoundError."""
        with open(self._image, "wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", str(self._image))

    def mount(self) -> None:
        """Raises CalledProcessError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop", str(self._image), str(self.directory))

    def cut(self) -> float:
        """The power fails; the moment just before, by time.monotonic().

        Whoever writes to it gets EIO. But an fsync that is under way now may return success though what it was to
        write is not on the disk."""
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            began = time.monotonic()
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)
        return began

    def unmount(self) -> None:
        """As soon as nobody uses it any more."""

        def gone() -> bool:
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("umount", str(self.directory))
                return True
            return False

        eventually(gone, f"nobody uses {self.directory}")

    def vanish(self) -> None:
        """Wait, after `unmount`, until the file system is in no mount namespace: while a process that is ending has it
        in one of its own, `mount` would show the same one again, power cut and all."""
        eventually(lambda: not _said("losetup", "-j", str(self._image)), f"{self._image} is on no loop device")


def _run(*argv: str) -> None:
    _said(*argv)


def _said(*argv: str) -> bytes:
    return subprocess.run(argv, check=True, capture_output=True).stdout


@contextmanager
def loop_disk(image: Path, directory: Path, megabytes: int) -> Iterator[LoopDisk]:
    """A fresh one. Without the right to mount, or a loop device, the test is skipped, in strict mode too: no package
    brings them."""
    need("mkfs.ext4")
    disk = LoopDisk(image, directory)
    try:
        disk.make(megabytes)
        disk.mount()
    except (subprocess.CalledProcessError, OSError) as error:
        missing_machine(f"uid 0 and loop devices: {getattr(error, 'stderr', b'') or error!r}")
    try:
        yield disk
    finally:
        if os.path.ismount(directory):
            disk.unmount()
        image.unlink()
