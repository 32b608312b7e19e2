"""What a SEARCH asks for (RFC 3501 6.4.4): a tree of keys.

Texts in keys are folded (see `fold`) by the parser. NEW, OLD and the UN- keys are written with And, Not and Flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias

from services.imap.grammar.sequence import SequenceSet


class When(Enum):
    """How a day is compared."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the keys."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the two keys at least."""

    left: Key
    right: Key


@dataclass(frozen=True, slots=True)
class Not:
    """Not the key."""

    key: Key


@dataclass(frozen=True, slots=True)
class Seq:
    """Message numbers, as sent: `bind` finds out what `*` is."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class Uid:
    """UIDs, as sent."""

    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class Ranges:
    """A bound Seq or Uid: ascending ranges, both ends within."""

    ranges: tuple[tuple[int, int], ...]
    of_uids: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """A system flag, as `\\Seen`."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword, in lower case."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A field `name` (lower case) that holds `text`; an empty text asks for the field alone."""

    name: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """A text in the body."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text in header or body."""

    text: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """INTERNALDATE by days of UTC."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class Age:
    """INTERNALDATE within the last so many seconds, or not (RFC 5032)."""

    seconds: int
    younger: bool


@dataclass(frozen=True, slots=True)
class ArrivedAfter:
    """A bound Age: INTERNALDATE at this time or later, or with `younger` false before or at it."""

    time: int
    younger: bool


@dataclass(frozen=True, slots=True)
class ModSeq:
    """A mod-sequence of at least this (RFC 7162 section 3.1.5)."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Saved:
    """The save date by days of UTC (RFC 8514)."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class EmailId:
    """The message's EMAILID (RFC 8474); None, as for every THREADID: no message has it."""

    id: bytes | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The Date field's day, in its own zone."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class Larger:
    """RFC822.SIZE above so many bytes."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Smaller:
    """RFC822.SIZE below so many bytes."""

    size_bytes: int


_Dated: TypeAlias = ModSeq | Age | ArrivedAfter | Arrived | Saved | Sent
_Simple: TypeAlias = All | Flag | Keyword | Header | Body | Text | Larger | Smaller | EmailId | _Dated
Key: TypeAlias = _Simple | And | Or | Not | Seq | Uid | Ranges
