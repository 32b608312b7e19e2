"""How a delivery attempt ended: success, deferral or failure, with the report's text. Pure.

The letters are those that qmail-local's and qmail-remote's callers pass on: K, Z and D (qmail-remote(8)).
"""

from __future__ import annotations

from enum import Enum

from qmail.message.value import value


class Kind(Enum):
    """What becomes of the recipient."""

    SUCCESS = "K"
    DEFERRAL = "Z"
    FAILURE = "D"


@value()
class Outcome:
    """The end of one attempt for one recipient; `text` is the report, its lines ending in a newline."""

    kind: Kind
    text: bytes


def success(text: bytes) -> Outcome:
    """The message is where it should be."""
    return Outcome(Kind.SUCCESS, text)


def deferral(text: bytes) -> Outcome:
    """It may work later; whatever is not known to be permanent ends here."""
    return Outcome(Kind.DEFERRAL, text)


def failure(text: bytes) -> Outcome:
    """It will never work; the sender gets a bounce."""
    return Outcome(Kind.FAILURE, text)
