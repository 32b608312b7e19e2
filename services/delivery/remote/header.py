"""Whether a message's header needs SMTPUTF8: the first pieces of the message, read to the empty line."""

from __future__ import annotations

import re

from services.delivery.remote.transfer import Chunks, readable

_END_OF_HEADER = re.compile(rb"\n\r?\n")


async def has_eight_bit_header(chunks: Chunks) -> bool:
    """Whether a byte beyond ASCII comes before the first empty line (RFC 6532 3). One piece is kept at a time.

    Raises MessageUnreadableError."""
    last = b"\n"
    async for piece in readable(chunks):
        text = last + piece
        end = _END_OF_HEADER.search(text)
        if not (text if end is None else text[: end.start()]).isascii():
            return True
        if end is not None:
            return False
        last = text[-2:]
    return False
