"""The base subject (RFC 5256 2.1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from services.imap.search.words import decoded

#: Of a longer subject only so much is looked at, in characters.
MAX_SUBJECT = 2000

_TRAILER = re.compile(r"(?:\(fwd\)|\s)\Z", re.IGNORECASE)
_LEADER = re.compile(r"(?:\[[^\[\]]*\]\s*)*(?:re|fwd?)\s*(?:\[[^\[\]]*\]\s*)?:|\s+", re.IGNORECASE)
_BLOB = re.compile(r"\[[^\[\]]*\]\s*")
_FORWARD = re.compile(r"\[fwd:(.*)\]\Z", re.IGNORECASE | re.DOTALL)


class BaseSubject(NamedTuple):
    """`text` without what replying and forwarding add; `answer`: whether anything of that was there."""

    text: str
    answer: bool


def base_subject(value: bytes) -> BaseSubject:
    """The base subject of a Subject field's value."""
    text = decoded(value)[:MAX_SUBJECT]
    answer = False
    while True:
        text, trailed = _without_trailers(text)
        text, led = _without_leaders(text)
        forward = _FORWARD.match(text)
        answer = answer or trailed or led or forward is not None
        if forward is None:
            return BaseSubject(text, answer)
        text = forward[1]


def _without_trailers(text: str) -> tuple[str, bool]:
    answer = False
    while found := _TRAILER.search(text):
        answer = answer or not found[0].isspace()
        text = text[: found.start()]
    return text, answer


def _without_leaders(text: str) -> tuple[str, bool]:
    answer = False
    while True:
        leader = _LEADER.match(text)
        if leader:
            answer = answer or not leader[0].isspace()
            text = text[leader.end() :]
            continue
        blob = _BLOB.match(text)
        if blob is None or blob.end() == len(text):
            return text, answer
        text = text[blob.end() :]
