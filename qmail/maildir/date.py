"""A message's date on its file: INTERNALDATE is the time of the last change, and that alone."""

from __future__ import annotations

import os
import time


def set_date(fd: int, mtime_ns: int) -> None:
    """Give the open file a date, in nanoseconds since 1970; it counts as used now. Raises OSError.

    While it lies in tmp others sweep there by the time of the last use (qmail-pop3d(8)): two hands, two times.
    """
    os.utime(fd, ns=(time.time_ns(), mtime_ns))
