"""Maildir file names. Pure. See maildir(5) and https://cr.yp.to/proto/maildir.html."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

#: A POP3 unique-id, which is the name up to the colon, has at most 70 characters (RFC 1939 section 7).
MAX_BASE_BYTES: Final = 70
_INFO: Final = b":2,"


def unique_name(time_ms: int, id: int, recipient_number: int, host: bytes, copy: int = 0) -> bytes:
    """`<accept time, seconds>.<id><recipient, 4 digits>.<host>`, at most 70 bytes, the same at each attempt.

    copy: 0, or the number of the further copy that one recipient's .qmail puts into the same Maildir.
    """
    middle = b"%d.%d%04d" % (time_ms // 1000, id, recipient_number)
    if copy:
        middle += b"_%d" % copy
    return middle + b"." + _host_part(host, MAX_BASE_BYTES - len(middle) - 1)


@lru_cache(maxsize=64)
def _host_part(host: bytes, room_bytes: int) -> bytes:
    """The host with `/`, `:` and NUL made harmless, cut to the room without cutting through an escape."""
    escaped = b""
    for byte in host:
        piece = b"\\%03o" % byte if byte in b"/:\0" else bytes((byte,))
        if len(escaped) + len(piece) > room_bytes:
            break
        escaped += piece
    return escaped


def is_message_name(filename: bytes) -> bool:
    """Whether a file in new or cur may be a message, for every reader alike.

    Not with a dot first (maildir(5)), nor with a line feed: no writer of mail makes such a name, and in UIDL and in
    lists by name the rest of it would be a line of its own.
    """
    return not filename.startswith(b".") and b"\n" not in filename


def base_name(filename: bytes) -> bytes:
    """The unique part: the name up to the first colon."""
    return filename.partition(b":")[0]


def parse_flags(filename: bytes) -> bytes:
    """The flag letters after `:2,`, sorted, each once; empty where there is no such info."""
    info = filename.partition(b":")[2]
    if not info.startswith(b"2,"):
        return b""
    return normal_flags(info[2:].partition(b",")[0])


def normal_flags(flags: bytes) -> bytes:
    """Flags as a name must hold them: in ASCII order, without repetition (maildir(5))."""
    return bytes(sorted(set(flags)))


def flagged_name(base: bytes, flags: bytes) -> bytes:
    """The name in `cur` of a message with these flags."""
    return base + _INFO + normal_flags(flags)
