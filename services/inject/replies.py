"""Every text that the commands print, in qmail-inject's and qmail.c's words."""

from __future__ import annotations

import sys
from typing import NoReturn

from qmail.message.printable import printable_lines

PERMANENT = 100
TEMPORARY = 111


class Fatal(Exception):
    """The command ends: `code` is its exit code, `text` goes to standard error."""

    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def tell(self) -> int:
        """Say it on standard error, with whatever a stranger wrote made printable; the exit code."""
        sys.stderr.buffer.write(printable_lines(self.text).encode())
        sys.stderr.buffer.flush()
        return self.code


_PREFIX = b"qmail-inject: fatal: "
_QUEUE_TEXTS = {
    11: b"envelope address too long for qq (#5.1.3)",
    12: b"envelope address with control characters (#5.1.3)",
    31: b"mail server permanently rejected message (#5.3.0)",
    51: b"qq out of memory (#4.3.0)",
    52: b"qq timeout (#4.3.0)",
    53: b"qq write error or disk full (#4.3.0)",
    54: b"qq read error (#4.3.0)",
    55: b"qq unable to read configuration (#4.3.0)",
    56: b"qq trouble making network connection (#4.3.0)",
    61: b"qq trouble in home directory (#4.3.0)",
    **dict.fromkeys(range(62, 67), b"qq trouble creating files in queue (#4.3.0)"),
    71: b"mail server temporarily rejected message (#4.3.0)",
    72: b"connection to mail server timed out (#4.4.1)",
    73: b"connection to mail server rejected (#4.4.1)",
    74: b"communication with mail server failed (#4.4.2)",
    81: b"qq internal bug (#4.3.0)",
    91: b"qq internal bug (#4.3.0)",
    115: b"envelope address too long for qq (#5.1.3)",
    120: b"unable to exec qq (#4.3.0)",
}
_CRASHED = b"qq crashed (#4.3.0)"

SENDMAIL_USAGE = b"sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n"
SENDMAIL_NO_SMTP = b"sendmail: fatal: -bs is not offered here; speak SMTP to port 25 or 587\n"
SENDMAIL_NO_LIST = b"sendmail: fatal: -bp is not offered here; use qmailctl queue\n"
SENDMAIL_NO_FLUSH = b"sendmail: fatal: -q is not offered here; use qmailctl doqueue\n"
SENDMAIL_NO_ALIASES = b"sendmail: fatal: please use fastforward/newaliases instead\n"


def unparsable_line(line: bytes) -> NoReturn:
    """A field is no address list (RFC 5322 3.4)."""
    raise Fatal(PERMANENT, _PREFIX + b"unable to parse this line:\n" + line)


def unparsable_address(address: bytes) -> NoReturn:
    """An argument is no address."""
    raise Fatal(PERMANENT, _PREFIX + b"unable to parse address: " + address + b"\n")


def invalid_field(line: bytes) -> NoReturn:
    """A line of the header has no field name."""
    raise Fatal(PERMANENT, _PREFIX + b"invalid header field: " + line)


def read_error() -> NoReturn:
    """Standard input or a control file cannot be read."""
    raise Fatal(TEMPORARY, _PREFIX + b"read error\n")


def no_queue() -> NoReturn:
    """The queue's socket does not answer."""
    raise Fatal(TEMPORARY, _PREFIX + b"unable to run qmail-queue\n")


def refuse_as_queue_did(exit_code: int) -> NoReturn:
    """qmail-queue's exit code in words: 11 to 40 (and 115) are permanent; negative: it was killed."""
    permanent = 11 <= exit_code <= 40 or exit_code == 115
    other = b"qq permanent problem (#5.3.0)" if permanent else b"qq temporary problem (#4.3.0)"
    text = _CRASHED if exit_code < 0 else _QUEUE_TEXTS.get(exit_code, other)
    raise Fatal(PERMANENT if permanent else TEMPORARY, _PREFIX + text + b"\n")
