"""Whether a message is what a SEARCH asks for. Cheap keys are asked first."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from services.imap.grammar.sequence import STAR, SequenceSet
from services.imap.message.address import Address, parse_addresses
from services.imap.message.header import Field
from services.imap.message.parse import Message
from services.imap.search import program as p
from services.imap.search.body import entities, text_pieces
from services.imap.search.charset import decode, fold
from services.imap.search.view import EPOCH, MessageView, day_of, sent_at
from services.imap.search.words import decoded

_ADDRESS_FIELDS = frozenset((b"from", b"to", b"cc", b"bcc", b"sender", b"reply-to"))
_SPECIALS = re.compile(r'[][()<>@,;:\\".]')
_COSTS: dict[type, int] = {p.Larger: 1, p.Smaller: 1, p.Sent: 2, p.Header: 2, p.Body: 4, p.Text: 4, p.EmailId: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A mailbox as it is now. `saved`: UIDs of the saved result, ascending ranges; `now`: seconds since the epoch."""

    exists: int
    largest_uid: int
    saved: tuple[tuple[int, int], ...] = ()
    now: int = 0


def bind(key: p.Key, bounds: Bounds) -> p.Key:
    """`key` for a mailbox as it is now: `*` is known, and in each And the cheap keys come first."""
    match key:
        case p.Seq(wanted) | p.Uid(wanted) if wanted.saved:
            return p.Ranges(bounds.saved, of_uids=True)
        case p.Seq(numbers):
            return p.Ranges(tuple(_existing(numbers, bounds.exists)), of_uids=False)
        case p.Uid(uids):
            return p.Ranges(tuple(uids.resolved(bounds.largest_uid)), of_uids=True)
        case p.Age(seconds, younger):
            return p.ArrivedAfter(bounds.now - seconds, younger=younger)
        case p.And(keys):
            return p.And(tuple(sorted((bind(k, bounds) for k in keys), key=_cost)))
        case p.Or(left, right):
            ordered = sorted((bind(left, bounds), bind(right, bounds)), key=_cost)
            return p.Or(*ordered)
        case p.Not(inner):
            return p.Not(bind(inner, bounds))
    return key


def matches(key: p.Key, view: MessageView) -> bool:  # noqa: C901, PLR0912 - a case for each key of the grammar
    """Whether the message is meant by a key that went through `bind`."""
    match key:
        case p.And(keys):
            return all(matches(k, view) for k in keys)
        case p.Or(left, right):
            return matches(left, view) or matches(right, view)
        case p.Not(inner):
            return not matches(inner, view)
        case p.Ranges(ranges, of_uids):
            return within(view.uid if of_uids else view.seq, ranges)
        case p.Flag(name):
            return name in view.flags
        case p.Keyword(name):
            return any(keyword.lower() == name for keyword in view.keywords)
        case p.Larger(size_bytes):
            return view.size() > size_bytes
        case p.Smaller(size_bytes):
            return view.size() < size_bytes
        case p.ArrivedAfter(time, younger):
            return view.internaldate >= time if younger else view.internaldate <= time
        case p.ModSeq(modseq):
            return view.modseq() >= modseq
        case p.Saved(when, day):
            return view.savedate is not None and _compare(day_of(view.savedate), when, day)
        case p.EmailId(wanted):
            return wanted is not None and view.email_id() == wanted
        case p.Arrived(when, day):
            return _compare(day_of(view.internaldate), when, day)
        case p.Sent(when, day):
            return _compare((sent_at(view.header()) or EPOCH).date(), when, day)
        case p.Header(name, text):
            return _in_field(view.header(), name, text)
        case p.Body(text):
            message = view.message()
            return _holds((text_pieces(message.text, part) for part in entities(message)), text)
        case p.Text(text):
            return _in_header(view.header(), text) or _in_parts(view.message(), text)
    return True


def _existing(numbers: SequenceSet, exists: int) -> list[tuple[int, int]]:
    """Ranges of message numbers; `500:*` means nothing where there are fewer than 500."""
    ranges = tuple(r for r in numbers.ranges if not (STAR in r and exists < min(r) < STAR))
    return SequenceSet(ranges).resolved(exists)


def _cost(key: p.Key) -> int:
    match key:
        case p.And(keys):
            return max(map(_cost, keys))
        case p.Or(left, right):
            return max(_cost(left), _cost(right))
        case p.Not(inner):
            return _cost(inner)
    return _COSTS.get(type(key), 0)


def within(number: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether a number lies in one of the ascending ranges."""
    index = bisect_right(ranges, (number, STAR)) - 1
    return index >= 0 and ranges[index][0] <= number <= ranges[index][1]


def _compare(day: date, when: p.When, wanted: date) -> bool:
    if when is p.When.ON:
        return day == wanted
    return day < wanted if when is p.When.BEFORE else day >= wanted


def _in_field(header: list[Field], name: bytes, text: str) -> bool:
    return any(text in fold(shown(field)) for field in header if field.name == name and field.colon >= 0)


def shown(field: Field) -> str:
    """A field's value as text; addresses are written in one way."""
    if field.name in _ADDRESS_FIELDS:
        return ", ".join(map(_address, parse_addresses(field.value)))
    return decoded(field.value)


def _address(address: Address) -> str:
    if address.host is None:
        return ";" if address.mailbox is None else decoded(address.mailbox) + ":"
    route = address.route + b":" if address.route else b""
    plain = decode(route + (address.mailbox or b"") + b"@" + address.host)
    if not address.name:
        return plain
    name = decoded(address.name)
    return f'"{name}" <{plain}>' if _SPECIALS.search(name) else f"{name} <{plain}>"


def _in_header(header: list[Field], text: str) -> bool:
    return any(text in fold(_line(field)) for field in header)


def _in_parts(message: Message, text: str) -> bool:
    """Whether the text is in the text of a part, or in its MIME header."""
    return any(
        _in_header(part.header, text) or _holds([text_pieces(message.text, part)], text) for part in entities(message)
    )


def _line(field: Field) -> str:
    if field.colon < 0:
        return decode(field.raw)
    return decode(field.raw[: field.colon + 1]) + " " + decoded(field.value)


def _holds(texts: Iterable[Iterable[str]], wanted: str) -> bool:
    """Whether one of the texts, given in pieces, holds what is wanted."""
    for pieces in texts:
        tail = ""
        for piece in pieces:
            here = tail + fold(piece)
            if wanted in here:
                return True
            tail = here[len(here) - len(wanted) + 1 :] if 1 < len(wanted) <= len(here) else ""
            if len(here) < len(wanted):
                tail = here
    return wanted == ""


def asks_for_modseq(key: p.Key) -> bool:
    """Whether mod-sequences are in the key, so that the answer has one."""
    match key:
        case p.And(keys):
            return any(map(asks_for_modseq, keys))
        case p.Or(left, right):
            return asks_for_modseq(left) or asks_for_modseq(right)
        case p.Not(inner):
            return asks_for_modseq(inner)
    return isinstance(key, p.ModSeq)
