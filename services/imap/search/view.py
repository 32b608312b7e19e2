"""What a search can ask of a message."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Protocol

from services.imap.message.header import Field, first, unfold
from services.imap.message.parse import Message

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: A longer Date field is no date, in bytes.
MAX_DATE_BYTES = 200


class MessageView(Protocol):
    """A message in a mailbox. The methods may read the file, the attributes do not; OSError passes through."""

    @property
    def seq(self) -> int: ...

    @property
    def uid(self) -> int: ...

    @property
    def flags(self) -> Collection[bytes]:
        """System flags, as `\\Seen`, `\\Recent` among them."""

    @property
    def keywords(self) -> Collection[bytes]:
        """Keywords as they were set."""

    @property
    def internaldate(self) -> int:
        """Seconds since the epoch."""

    def size(self) -> int:
        """RFC822.SIZE."""

    def header(self) -> list[Field]:
        """`read_header` of the file."""

    def message(self) -> Message:
        """`parse` of the file."""


def arrival_day(view: MessageView) -> date:
    """The day of INTERNALDATE, in UTC."""
    return (EPOCH + timedelta(seconds=view.internaldate)).date()


def sent_at(header: list[Field]) -> datetime | None:
    """The Date field in its own zone, None if there is none that can be read."""
    value = unfold(first(header, b"date") or b"")
    if not value or len(value) > MAX_DATE_BYTES:
        return None
    try:
        parsed = parsedate_tz(value.decode("latin-1"))
        if parsed is None:
            return None
        zone = timezone(timedelta(seconds=parsed[9] or 0))
        return datetime(*parsed[:6], tzinfo=zone)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
