"""qmail-send's words: log lines, the text of a report in them, and the paragraph of a bounce.

Source: qmail-log(5); qmail-send.c del_dochan(), addbounce(), safeext. Pure.
"""

from __future__ import annotations

import json
import re

from qmail.message.address import Address, in_a_line

GIVING_UP = b"I'm not going to try again; this message has been in the queue too long.\n"
# A state record must stay below the server's 1 MB.
MAX_BOUNCE_BYTES = 120_000
_MORE = re.compile(rb"(?:\A|\n\n)(\.\.\. and (\d+) more recipients\.\n\n)\Z")
_SAFE = bytes(
    ord("/") if c == 10 else ord("_") if c <= 32 or c >= 127 or c == ord("%") else c  # qsutil.c issafe()
    for c in range(256)
)


def logged(text: bytes) -> str:
    """A report's text in one log line: blanks, `%`, control characters and 8-bit as `_`, newlines as `/`."""
    return text.translate(_SAFE).decode("ascii")


def bounce_paragraph(recipient: Address, report: bytes) -> bytes:
    """What a bounce says of one recipient; a blank line inside the report becomes a line that begins with `/`."""
    body = report if report.endswith(b"\n") or not report else report + b"\n"
    safe = bytearray(b"<" + in_a_line(recipient.raw) + b">:\n" + body)
    # From the end, as addbounce() does: of several newlines in a row all but the first become slashes.
    for i in range(len(safe) - 2, 0, -1):
        if safe[i] == 10 and safe[i - 1] == 10:
            safe[i] = ord("/")
    return bytes(safe) + b"\n"


def with_paragraph(bounce: bytes, paragraph: bytes) -> bytes:
    """A bounce's text and one paragraph more; what has no room is counted at the end."""
    # Inside a paragraph there are no two newlines in a row.
    more = _MORE.search(bounce)
    if more is None and _recorded(bounce) + _recorded(paragraph) <= MAX_BOUNCE_BYTES:
        return bounce + paragraph
    named, count = (bounce[: more.start(1)], int(more[2])) if more else (bounce, 0)
    return named + b"... and %d more recipients.\n\n" % (count + 1)


def _recorded(text: bytes) -> int:
    """The bytes that it takes in a state record."""
    return len(json.dumps(text.decode("latin-1"))) - 2


def verp(sender: Address, recipient: Address) -> Address:
    """The sender of one delivery: `list-@host-@[]` becomes `list-user=dom@host` (qmail-send.c senderadd)."""
    base = sender.without_verp()
    if base is sender or base.domain is None or recipient.domain is None:
        return sender
    return Address.join(base.local + recipient.local + b"=" + recipient.domain, base.domain)
