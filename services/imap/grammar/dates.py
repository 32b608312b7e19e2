"""IMAP's date-time: `"17-Jul-1996 02:44:25 -0700"` (RFC 3501 section 9)."""

from __future__ import annotations

import calendar
import re
import time

from services.imap.grammar.errors import BadSyntax

_MONTHS = (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC")
_DATE_TIME = re.compile(rb"([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) (.*)\Z", re.DOTALL)
_ZONE = re.compile(rb"([+-])([0-9][0-9])([0-9][0-9])")


def parse_date_time(text: bytes) -> int | None:
    """Seconds since the epoch; None for a day that no calendar has, or an hour. Raises BadSyntax.

    What is only wrong is read as Dovecot reads it, since no message is to be refused for that: a zone that is none
    (`--400`, `EST`) counts as UTC, a 31st of February as no date given."""
    found = _DATE_TIME.match(text)
    if found is None or found[2].upper() not in _MONTHS:
        raise BadSyntax("not a date and time")
    day, month, year = int(found[1]), _MONTHS.index(found[2].upper()) + 1, int(found[3])
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    if not (year >= 1 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return calendar.timegm((year, month, day, hour, minute, min(second, 59))) - _zone_seconds(found[7])


def _zone_seconds(text: bytes) -> int:
    """East of Greenwich."""
    zone = _ZONE.match(text)
    if zone is None:
        return 0
    seconds = (int(zone[2]) * 60 + int(zone[3])) * 60
    return seconds if zone[1] == b"+" else -seconds


def render_date_time(seconds: int) -> bytes:
    """INTERNALDATE in +0000, as Courier gives it; times that no calendar holds are given as the epoch."""
    try:
        t = time.gmtime(seconds)
    except (OverflowError, ValueError, OSError):
        t = time.gmtime(0)
    month = _MONTHS[t.tm_mon - 1].capitalize()
    clock = b"%02d:%02d:%02d" % (t.tm_hour, t.tm_min, t.tm_sec)
    return b'"%02d-%b-%04d %b +0000"' % (t.tm_mday, month, t.tm_year, clock)
