"""Reading .qmail: which file, which instructions, which sender for forwards. Pure. See dot-qmail(5)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from qmail.message.address import DOUBLE_BOUNCE_SENDER, NULL_SENDER, VERP_MARK, Address
from qmail.message.value import value
from services.delivery.local import replies
from services.delivery.local.job import Job
from services.delivery.local.refusal import temporary

_DEFAULT: Final = b"default"


@value()
class Candidate:
    """A .qmail file that may hold the instructions."""

    name: bytes
    default: bytes | None  #: value of DEFAULT if this file is used


class Act(Enum):
    """What an instruction asks for; the value is the word that `qmail-local -n` prints."""

    MBOX = b"mbox"
    MAILDIR = b"maildir"
    PROGRAM = b"program"
    FORWARD = b"forward"


@value()
class Instruction:
    """One delivery that a line of .qmail asks for."""

    act: Act
    text: bytes  #: as written, without the mark (`|`, `&`) and trailing blanks

    @property
    def argument(self) -> bytes:
        """What is acted on: qmail's strings end at a NUL."""
        return self.text.partition(b"\0")[0]


def safe_ext(ext: bytes) -> bytes:
    """The extension as it stands in file names: lower case, dots as colons."""
    return ext.lower().replace(b".", b":")


def candidates(dash: bytes, ext: bytes) -> Iterator[Candidate]:
    """The .qmail files for an address, in the order in which they are looked for."""
    safe = safe_ext(ext)
    start = b".qmail" + dash
    yield Candidate(start + safe, ext[-len(_DEFAULT) :] if safe.endswith(_DEFAULT) else None)
    for cut in range(len(safe), -1, -1):
        if cut == 0 or safe[cut - 1 : cut] == b"-":
            yield Candidate(start + safe[:cut] + _DEFAULT, ext[cut:])


def instructions(content: bytes, *, forward_only: bool) -> Iterator[Instruction]:
    """The deliveries that a .qmail's content asks for, in order.

    forward_only: the file is executable, or a `+list` line was seen. Raises Refusal at the line that is wrong;
    what came before it has been done by then, as in qmail-local.
    """
    for number, raw in enumerate(content.removesuffix(b"\n").split(b"\n")):
        line = raw.rstrip(b" \t")
        mark = line[:1]
        if mark in (b"", b"\0"):
            if number == 0:
                raise temporary(replies.DOT_QMAIL_BLANK)
        elif mark == b"+":
            forward_only = forward_only or line.partition(b"\0")[0] == b"+list"
        elif mark != b"#":
            yield _instruction(mark, line, forward_only=forward_only)


def _instruction(mark: bytes, line: bytes, *, forward_only: bool) -> Instruction:
    if mark in (b".", b"/"):
        if forward_only:
            raise temporary(replies.FILE_WITH_X_BIT)
        return Instruction(Act.MAILDIR if line.endswith(b"/") else Act.MBOX, line)
    if mark == b"|":
        if forward_only:
            raise temporary(replies.PROGRAM_WITH_X_BIT)
        return Instruction(Act.PROGRAM, line[1:])
    return Instruction(Act.FORWARD, line[1:] if mark == b"&" else line)


def owner_names(job: Job) -> tuple[bytes, bytes]:
    """The two files whose existence changes the sender of forwards."""
    owner = b".qmail" + job.dash + safe_ext(job.ext) + b"-owner"
    return owner, owner + b"-default"


def new_sender(job: Job, *, owner: bool, owner_default: bool) -> Address:
    """The sender of forwards: the list's owner, with VERP's mark where owner-default exists too."""
    if not owner or job.sender in (NULL_SENDER, DOUBLE_BOUNCE_SENDER):
        return job.sender
    local, domain = job.recipient.local, job.recipient.domain or b""
    if owner_default:
        return Address.join(local + b"-owner-", domain + VERP_MARK)
    return Address.join(local + b"-owner", domain)


def header_of(message: bytes) -> bytes:
    """The header of a message, or of its beginning: the lines before the first empty one."""
    if message.startswith(b"\n"):
        return b""
    end = message.find(b"\n\n")
    return message if end < 0 else message[: end + 1]


def is_looping(header: bytes, delivered_to: bytes) -> bool:
    """Whether the header has this very Delivered-To line (which ends in a newline)."""
    return header.startswith(delivered_to) or b"\n" + delivered_to in header
