"""What goes over the queue's socket. The client sends the message in netstrings, an empty one, then qmail-queue's
envelope (`F` sender NUL, `T` recipient NUL ..., NUL) in netstrings, an empty one. The answer is one netstring:
qmail-queue's exit code, a blank, the message's number (0 where there is none).
"""

from __future__ import annotations

from collections.abc import Iterable

from qmail.message import netstring
from qmail.message.address import MAX_ADDRESS_BYTES, Address
from qmail.queue.exits import ADDRESS_TOO_LONG, BAD_ENVELOPE, READ_ERROR


class ExitError(Exception):
    """The submission ends with this exit code of qmail-queue."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def render_envelope(sender: Address, recipients: Iterable[Address]) -> bytes:
    """qmail-queue's envelope; addresses end at their first NUL, as C strings do."""
    fields = [b"F" + sender.to_nul().raw, *(b"T" + recipient.to_nul().raw for recipient in recipients)]
    return b"".join(field + b"\0" for field in fields) + b"\0"


def parse_envelope(data: bytes) -> tuple[Address, tuple[Address, ...]]:
    """Sender and recipients of qmail-queue's envelope. Raises ExitError as qmail-queue would exit."""
    *fields, rest = data.split(b"\0")
    if not fields or fields[0][:1] != b"F":
        raise ExitError(BAD_ENVELOPE if data[:1] not in (b"", b"F") else READ_ERROR)
    found: list[Address] = []
    for field in fields:
        if not field and found:
            if any(len(address.raw) > MAX_ADDRESS_BYTES for address in found):
                raise ExitError(ADDRESS_TOO_LONG)
            return found[0], tuple(found[1:])
        if field[:1] != (b"T" if found else b"F"):
            raise ExitError(BAD_ENVELOPE)
        found.append(Address(field[1:]))
    raise ExitError(ADDRESS_TOO_LONG if len(rest) > MAX_ADDRESS_BYTES + 1 else READ_ERROR)


def encode_answer(exit_code: int, number: int) -> bytes:
    return netstring.encode(b"%d %d" % (exit_code, number))


def decode_answer(buffer: bytes) -> tuple[int, int] | None:
    """Exit code and number, None where more bytes are needed. Raises ValueError for what is no answer."""
    found = netstring.decode(buffer)
    if found is None:
        return None
    exit_code, number = map(int, found[0].split())
    return exit_code, number
