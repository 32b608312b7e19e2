"""Every text that the commands print, in qmail-inject's and qmail.c's words."""

from __future__ import annotations

import sys
from typing import NoReturn

from qmail.message.printable import printable_lines
from qmail.queue import exits

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

SENDMAIL_USAGE = b"sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n"
SENDMAIL_NO_SMTP = b"sendmail: fatal: -bs is not offered here; speak SMTP to port 25 or 587\n"
SENDMAIL_NO_LIST = b"sendmail: fatal: -bp is not offered here; use qmailctl queue\n"
SENDMAIL_NO_FLUSH = b"sendmail: fatal: -q is not offered here; use qmailctl doqueue\n"
SENDMAIL_NO_ALIASES = b"sendmail: fatal: please use fastforward/newaliases instead\n"


def unparsable_line(line: bytes) -> NoReturn:
    """A field is no address list (RFC 5322 3.4)."""
    raise Fatal(PERMANENT, _PREFIX + b"unable to parse this line:\n" + line)


def unparsable_address(address: bytes) -> NoReturn:
    raise Fatal(PERMANENT, _PREFIX + b"unable to parse address: " + address + b"\n")


def invalid_field(line: bytes) -> NoReturn:
    """A line of the header has no field name."""
    raise Fatal(PERMANENT, _PREFIX + b"invalid header field: " + line)


def read_error() -> NoReturn:
    """Standard input or a control file cannot be read."""
    raise Fatal(TEMPORARY, _PREFIX + b"read error\n")


def no_queue() -> NoReturn:
    raise Fatal(TEMPORARY, _PREFIX + b"unable to run qmail-queue\n")


def refuse_as_queue_did(exit_code: int) -> NoReturn:
    """qmail-queue's exit code in words."""
    code = PERMANENT if exits.is_permanent(exit_code) else TEMPORARY
    raise Fatal(code, _PREFIX + exits.words(exit_code) + b"\n")
