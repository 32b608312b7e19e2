"""Netstrings: `<length>:<bytes>,`, the framing of the queue's socket (D. J. Bernstein, netstrings.txt)."""

from __future__ import annotations

# One frame; longer texts go as several, an empty frame ends them.
MAX_FRAME_BYTES = 64 * 1024
_MAX_DIGITS = len(str(MAX_FRAME_BYTES))


class NetstringError(ValueError):
    """Not a netstring, or one longer than MAX_FRAME_BYTES."""


def encode(data: bytes) -> bytes:
    return b"%d:%s," % (len(data), data)


def decode(buffer: bytes | bytearray) -> tuple[bytes, int] | None:
    """The first frame and how many bytes it took; None where more bytes are needed. Raises NetstringError."""
    head, colon, _ = bytes(buffer[: _MAX_DIGITS + 1]).partition(b":")
    if head and not head.isdigit():
        raise NetstringError("a netstring begins with its length")
    if not colon:
        if len(buffer) > _MAX_DIGITS:
            raise NetstringError("a netstring's length ends with a colon")
        return None
    start = len(head) + 1
    length = int(head or b"0")
    if not head or length > MAX_FRAME_BYTES:
        raise NetstringError(f"a netstring of at most {MAX_FRAME_BYTES} bytes is expected")
    if len(buffer) <= start + length:
        return None
    if buffer[start + length] != ord(","):
        raise NetstringError("a netstring ends with a comma")
    return bytes(buffer[start : start + length]), start + length + 1
