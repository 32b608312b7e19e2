"""LIST's patterns: `*` matches anything, `%` anything but the hierarchy separator (RFC 3501 section 6.3.8).

A name is matched by the set of places in it that the pattern so far can end at, so that no pattern costs more than
its length times that of the name: a regular expression would try every way to share the name among the wildcards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SEPARATOR = b"."
# No client sends more than two or three.
MAX_WILDCARDS = 20

_RUN = re.compile(rb"[*%]+")
_WILD = re.compile(rb"([*%])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Texts and wildcards in turn."""

    pieces: tuple[bytes, ...]

    def match(self, name: bytes) -> bool:
        """Whether the whole name is meant."""
        ends = {0}
        for piece in self.pieces:
            if piece == b"*":
                ends = set(range(min(ends), len(name) + 1))
            elif piece == b"%":
                ends = _within_level(name, ends)
            else:
                ends = {end + len(piece) for end in ends if name.startswith(piece, end)}
            if not ends:
                return False
        return len(name) in ends


def _within_level(name: bytes, ends: set[int]) -> set[int]:
    """The places that can be reached without a separator."""
    reached: set[int] = set()
    for end in sorted(ends):
        if end not in reached:
            separator = name.find(SEPARATOR, end)
            reached.update(range(end, (separator if separator >= 0 else len(name)) + 1))
    return reached


def compile_pattern(reference: bytes, pattern: bytes) -> Pattern | None:
    """The names that `LIST reference pattern` means; None where the pattern is absurd and matches nothing.

    INBOX and what begins with `INBOX.` match in any case of those five letters."""
    whole = _RUN.sub(lambda run: b"*" if b"*" in run[0] else b"%", reference + pattern)
    if whole.count(b"*") + whole.count(b"%") > MAX_WILDCARDS:
        return None
    if whole[:5].upper() == b"INBOX" and whole[5:6] in (b"", SEPARATOR, b"*", b"%"):
        whole = b"INBOX" + whole[5:]
    return Pattern(tuple(piece for piece in _WILD.split(whole) if piece))
