"""The Date field (RFC 5322 3.3, 4.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from services.imap.message.header import unfold
from services.imap.message.lexer import Lexer

#: A longer Date field is no date, in bytes.
MAX_DATE_BYTES = 200

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_HOURS = {b"est": -5, b"edt": -4, b"cst": -6, b"cdt": -5, b"mst": -7, b"mdt": -6, b"pst": -8, b"pdt": -7}
_DATE = re.compile(
    rb"(?:[A-Za-z]{3,9} ?, ?)?(\d{1,2}) ([A-Za-z]{3})[A-Za-z]* (\d{4}|\d{2,3})"
    rb" (\d{1,2}) ?[:.] ?(\d\d)(?: ?[:.] ?(\d\d))?(?: (?:([+-])(\d\d)(\d\d)|([A-Za-z]+))?.*)?\Z"
)


def parse_date(value: bytes) -> datetime | None:
    """The time in its own zone, UTC where the zone is not known; None for what is no date of RFC 5322."""
    if len(value) > MAX_DATE_BYTES:
        return None
    found = _DATE.match(unfold(_without_comments(value) if b"(" in value else value))
    if found is None or found[2].lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes, name = found.groups()
    try:
        zone = UTC
        if sign and int(zone_hours) < 24:  # beyond that it says nothing, as one of no known name
            offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
            zone = timezone(-offset if sign == b"-" else offset)
        elif name and name.lower() in _HOURS:
            zone = timezone(timedelta(hours=_HOURS[name.lower()]))
        # 60 is a leap second
        return datetime(
            _year(year), _MONTHS.index(month.lower()) + 1, int(day), int(hour), int(minute),
            min(int(second or 0), 59), tzinfo=zone,
        )  # fmt: skip
    except (ValueError, OverflowError):
        return None


def _year(digits: bytes) -> int:
    """Years of two and three digits as RFC 5322 4.3 reads them."""
    year = int(digits)
    if len(digits) == 4:
        return year
    return year + 2000 if len(digits) == 2 and year < 50 else year + 1900


def _without_comments(value: bytes) -> bytes:
    lexer = Lexer(value)
    kept = []
    while lexer.at < lexer.end:
        start = lexer.at
        lexer.skip()
        kept.append(b" " if lexer.at > start else b"")
        kept.append(lexer.value[lexer.at : lexer.at + 1])
        lexer.at += 1
    return b"".join(kept)
