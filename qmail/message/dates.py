"""Dates in the forms that qmail writes: RFC 5322 date-time in GMT, and TAI64N labels. Pure."""

from __future__ import annotations

import re
import time
from functools import lru_cache

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# TAI64 label of the epoch, ten leap seconds included as in libtai's tai_now (tai64n(8)).
_TAI64_EPOCH = 4611686018427387914
_STAMP = re.compile("@([0-9a-f]{16})([0-9a-f]{8})")


def date822(seconds: float) -> bytes:
    """`27 May 2003 16:15:16 -0000` for a time in seconds since the epoch (qmail's date822fmt)."""
    return _date822(int(seconds // 1))


@lru_cache(maxsize=4)
def _date822(seconds: int) -> bytes:
    t = time.gmtime(seconds)
    return b"%d %s %d %02d:%02d:%02d -0000" % (
        t.tm_mday,
        _MONTHS[t.tm_mon - 1].encode(),
        t.tm_year,
        t.tm_hour,
        t.tm_min,
        t.tm_sec,
    )


def ctime(seconds: float) -> bytes:
    """`Tue May 27 16:15:16 2003`, the form of mbox's From_ line (mbox(5)), in GMT."""
    t = time.gmtime(seconds)
    return b"%s %s %2d %02d:%02d:%02d %d" % (
        _DAYS[t.tm_wday].encode(),
        _MONTHS[t.tm_mon - 1].encode(),
        t.tm_mday,
        t.tm_hour,
        t.tm_min,
        t.tm_sec,
        t.tm_year,
    )


def tai64n(seconds: float) -> str:
    """`@` and 24 hexadecimal digits, the stamp that multilog t puts in front of a line (multilog(8))."""
    whole = int(seconds)
    return f"{_tai64(whole)}{int((seconds - whole) * 1e9):08x}"


@lru_cache(maxsize=4)
def _tai64(seconds: int) -> str:
    return f"@{_TAI64_EPOCH + seconds:016x}"


def tai64nlocal(line: str) -> str:
    """The line with the stamp that it begins with as local time, `2026-11-28 11:00:00.123456789` (tai64nlocal(8)); a
    line without a stamp, or with one that no calendar has, as it is."""
    found = _STAMP.match(line)
    if found is None:
        return line
    try:
        t = time.localtime(int(found[1], 16) - _TAI64_EPOCH)
    except (OverflowError, ValueError, OSError):
        return line
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', t)}.{int(found[2], 16):09d}{line[found.end() :]}"


def rfc3339(line: str) -> str:
    """The TAI64N stamp that the line begins with as `2026-11-28T04:00:00.123456789Z` (RFC 3339 5.6). Raises ValueError
    where there is none, OverflowError or OSError for one that no calendar has."""
    found = _STAMP.match(line)
    if found is None:
        raise ValueError(f"{line[:30]!r} does not begin with a stamp")
    t = time.gmtime(int(found[1], 16) - _TAI64_EPOCH)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', t)}.{int(found[2], 16):09d}Z"
