"""From qmail-remote's report to one outcome a recipient, as qmail-rspawn's report() does it.

A report is a list of texts: a letter for each recipient (r accepted, h refused, s refused for now), then
one text with the message's letter (K, Z, D). See qmail-remote(8).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.delivery.outcome import Kind, Outcome
from services.delivery.remote import replies

_RANK = {b"D": -1, b"Z": 0, b"K": 1}
_KIND = {-1: Kind.FAILURE, 0: Kind.DEFERRAL, 1: Kind.SUCCESS}


def render_report(parts: Sequence[bytes]) -> bytes:
    """The report as qmail-remote prints it: each text followed by NUL."""
    return b"".join(part + b"\0" for part in parts)


def wait_for_another_session(parts: Sequence[bytes], count: int) -> list[int]:
    """Which of the `count` recipients were too many for one session, where others were taken: the next session is for
    them (RFC 5321 4.5.3.1.10)."""
    if len(parts) != count + 1 or parts[-1][:1] != b"K":
        return []
    too_many = b"\n" + replies.remote_said(b"452")
    return [number for number, part in enumerate(parts[:-1]) if part[:1] == b"s" and too_many in part]


def decide_outcome(parts: Sequence[bytes], number: int = 0) -> Outcome:
    """The outcome of the recipient `number` of the connection (0 for the first).

    The message's own letter counts for an accepted recipient; a refused one keeps its refusal. Where
    nothing was reported for the recipient, the message's letter is all there is."""
    if not parts:
        return Outcome(Kind.DEFERRAL, replies.NO_OUTPUT[1:])
    last = parts[-1]
    result = _RANK.get(last[:1], 0)
    if number >= len(parts) - 1:
        return Outcome(_KIND[result], last[1:])
    own = parts[number]
    rank = {b"h": -1, b"s": 0}.get(own[:1], result)
    text = own[1:] + (last[1:] if result <= rank else b"")
    return Outcome(_KIND[rank], text)
