"""Lines and commands of POP3, as qmail's commands.c cuts them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

#: Longest line taken, in bytes. RFC 2449 section 4 asks for 255; SASL (RFC 5034) needs more.
MAX_LINE_BYTES: Final = 8192
#: RFC 1939 section 7.
MAX_UID_BYTES: Final = 70
#: More messages than any mailbox has.
TOO_BIG: Final = 10**9
_WORD: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in lower case and what follows it without the blanks between."""

    verb: bytes
    argument: bytes


class LineTooLong:
    """Stands for a line beyond MAX_LINE_BYTES, which was not kept."""


class Lines:
    """Bytes in, lines out: a line ends with LF, one CR before it is dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Add bytes; a line that grows too long is thrown away as it comes."""
        self._buffer += data

    def clear(self) -> None:
        """Forget everything that was fed."""
        self._buffer.clear()
        self._searched = 0
        self._skipping = False

    def __bool__(self) -> bool:
        return bool(self._buffer) or self._skipping

    def next(self) -> bytes | LineTooLong | None:
        """The next whole line, None while there is none."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE_BYTES:
                self._buffer.clear()
                self._searched = 0
                self._skipping = True
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        too_long = self._skipping or len(line) > MAX_LINE_BYTES
        self._skipping = False
        return LineTooLong() if too_long else line.removesuffix(b"\r")


def parse_command(line: bytes, *, classic: bool) -> Command:
    """Cut a line at its first blank. `classic`: as commands.c does it, for which a NUL ends the line; otherwise all
    that follows PASS and one blank is the password (RFC 1939 section 7), and a NUL is an octet that no password has."""
    if classic:
        line = line.partition(b"\0")[0]
    verb, _, rest = line.partition(b" ")
    verb = verb.lower()
    return Command(verb, rest if verb == b"pass" and not classic else rest.lstrip(b" "))


def scan_number(text: bytes) -> tuple[int | None, bytes]:
    """The number that the text begins with (scan_ulong: modulo the word size), None without digits; the rest."""
    rest = text.lstrip(b"0123456789")
    digits = text[: len(text) - len(rest)]
    # 10**64 is a multiple of the word: more digits change nothing, and int() refuses thousands of them.
    return (int(digits[-64:]) % _WORD if digits else None), rest


def unique_id(base: bytes) -> bytes:
    """RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E. Names that are not so stand as their digest."""
    if 0 < len(base) <= MAX_UID_BYTES and all(0x21 <= byte <= 0x7E for byte in base):
        return base
    return sha256(base).hexdigest().encode()


def whole_number(argument: bytes) -> int | None:
    """The first word as a number; one of more than nine digits is as good as none that exists."""
    digits = argument.partition(b" ")[0].lstrip(b"0") or argument[:1]
    return min(int(digits[:10]), TOO_BIG) if digits.isdigit() else None


def second_number(argument: bytes) -> int | None:
    """The number after the first one, as TOP has it."""
    _, rest = scan_number(argument)
    return scan_number(rest.lstrip(b" "))[0]
