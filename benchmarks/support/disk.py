"""Room of its own for each server that is measured."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path

# ioctl_iflags(2)
FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_TOPDIR_FL = 0x00020000


def spread(directory: Path) -> None:
    """Have ext4 keep the directories that are made in this one far from each other (chattr +T); elsewhere nothing.

    Where thousands of files were removed in the last minutes, ext4 makes new ones slowly: it passes over each inode
    that became free, one by one. A peer that removes a queue file for each message would slow down whoever is
    measured after it, in the same place of the disk, and so would the run before."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            flags = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", flags | FS_TOPDIR_FL))
    finally:
        os.close(fd)
