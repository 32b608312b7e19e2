"""A message that lies in new although it is in cur already: a delivery was repeated after a reader had moved the first.

Blocking; call it in an `ActingPool`.
"""

from __future__ import annotations

import os

from qmail.maildir.names import MAX_BASE_BYTES, base_name


def settle_repeated(directory: int, new: bytes, cur: bytes) -> None:
    """Leave one message of a unique name. directory: the open Maildir; new, cur: the two paths below it.

    The same name means the same message, so the copy in new goes: left there it would come back, unread, once the one
    in cur is deleted. Where the sizes differ one of them is something else, whoever made it, and mail is not thrown
    away on a doubt: the one in new gets a name of its own and so becomes a message beside the other. Raises OSError.
    """
    try:
        here = os.stat(new, dir_fd=directory, follow_symlinks=False)
        there = os.stat(cur, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return  # it was one file on its way
    if here.st_size == there.st_size:
        os.unlink(new, dir_fd=directory)
    else:
        os.rename(new, _own_name(new, here), src_dir_fd=directory, dst_dir_fd=directory)


def _own_name(new: bytes, status: os.stat_result) -> bytes:
    """By device and inode, which no other file has, and the same if it has to be done twice."""
    host = base_name(os.path.basename(new)).split(b".", 2)[-1].split(b",", 1)[0]
    name = b"%d.V%xI%x.%b" % (status.st_mtime_ns // 10**9, status.st_dev, status.st_ino, host)
    return b"new/" + name[:MAX_BASE_BYTES]
