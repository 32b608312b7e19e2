"""LIST's patterns: `*` matches anything, `%` anything but the hierarchy separator (RFC 3501 section 6.3.8)."""

from __future__ import annotations

import re

SEPARATOR = b"."
# `*%*%*%...` would make the matcher try everything; no client sends more than two or three.
MAX_WILDCARDS = 20


def compile_pattern(reference: bytes, pattern: bytes) -> re.Pattern[bytes] | None:
    """The names that `LIST reference pattern` means; None where the pattern is absurd and matches nothing.

    INBOX and what begins with `INBOX.` match in any case of those five letters."""
    whole = re.sub(rb"\*[*%]*|%+", lambda run: b"*" if b"*" in run[0] else b"%", reference + pattern)
    if len(re.findall(rb"[*%]", whole)) > MAX_WILDCARDS:
        return None
    if whole[:5].upper() == b"INBOX" and whole[5:6] in (b"", SEPARATOR, b"*", b"%"):
        whole = b"INBOX" + whole[5:]
    pieces = re.split(rb"([*%])", whole)
    wild = {b"*": b".*", b"%": b"[^.]*"}
    return re.compile(b"".join(wild.get(piece, re.escape(piece)) for piece in pieces) + rb"\Z", re.DOTALL)
