"""What a search can ask of a message."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from services.imap.message.header import Field, first
from services.imap.message.parse import Message
from services.imap.search.dates import parse_date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    @property
    def savedate(self) -> int | None:
        """When it came into this mailbox, seconds since the epoch; None: not known."""

    def modseq(self) -> int:
        """Its mod-sequence."""

    def email_id(self) -> bytes:
        """EMAILID."""

    def size(self) -> int:
        """RFC822.SIZE."""

    def header(self) -> list[Field]:
        """`read_header` of the file."""

    def message(self) -> Message:
        """`parse` of the file."""


def day_of(seconds: int) -> date:
    """The day of a time since the epoch, in UTC."""
    return (EPOCH + timedelta(seconds=seconds)).date()


def sent_at(header: list[Field]) -> datetime | None:
    """The Date field in its own zone, None if there is none that can be read."""
    value = first(header, b"date")
    return None if value is None else parse_date(value)
