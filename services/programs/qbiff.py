"""qbiff(1): tell a user who is logged in of his new mail, on the terminals that want it (`biff y`)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.programs.program import Program, read_pieces, variable

# struct utmp of glibc (utmp(5)): type, pid, line, id, user, and the rest.
_ENTRY = struct.Struct("=hxxi32s4s32s308x")
_USER_PROCESS = 7
_UTMP = Path("/var/run/utmp")
_TEXT_BYTES = 78
_SHOWN = range(32, 127)


def qbiff(_arguments: Sequence[bytes]) -> int:
    """Whatever is in the way, the mail is delivered: the exit code is 0."""
    user, sender, local = (variable(name) for name in (b"USER", b"SENDER", b"LOCAL"))
    if user is None or sender is None or local is None:
        return 0
    head = _printable(b"*** TO <" + local + b"> FROM <" + sender + b">", b"_")
    try:
        text = b"\r\n\a" + head + b"\r\n" + summary(b"".join(read_pieces())) + b"\r\n"
        for line in lines_of(user, _UTMP.read_bytes()):
            _tell(Path("/dev") / os.fsdecode(line), text)
    except OSError:
        pass  # there is no utmp where nobody logs in
    return 0


def summary(message: bytes) -> bytes:
    """The subject and how the text begins, as far as a line of a terminal goes."""
    header, _, body = message.partition(b"\n\n")
    subjects = [line[8:].lstrip(b" \t") for line in header.split(b"\n") if line[:8].lower() == b"subject:"]
    return _printable((b"    " + b"".join(line + b"\n" for line in subjects) + b"\n" + body)[:_TEXT_BYTES], b"/")


def lines_of(user: bytes, utmp: bytes) -> Iterator[bytes]:
    """The terminals, below /dev, on which a user is logged in."""
    whole = len(utmp) // _ENTRY.size * _ENTRY.size
    for kind, _, line, _, name in _ENTRY.iter_unpack(utmp[:whole]):
        line = line.rstrip(b"\0")
        if kind == _USER_PROCESS and name.rstrip(b"\0") == user and line and b"." not in line and line[:1] != b"/":
            yield line


def _tell(terminal: Path, text: bytes) -> None:
    try:
        facts = terminal.stat()
        # biff(1) sets the bit; somebody else's terminal is not ours to write to.
        if facts.st_mode & 0o100 and facts.st_uid == os.getuid():
            with terminal.open("ab", buffering=0) as file:
                file.write(text)
    except OSError:
        pass  # logged out meanwhile


def _printable(text: bytes, instead: bytes) -> bytes:
    return bytes(octet if octet in _SHOWN else instead[0] for octet in text)


PROGRAMS: dict[str, Program] = {"qbiff": qbiff}
