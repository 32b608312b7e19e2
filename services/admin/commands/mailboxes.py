"""maildir2mbox(1) of qmail, and its way back: mail between a Maildir and an mbox (mbox(5)).

Both put everything in its new place, on the disk, before they take anything from the old: broken off between the two,
they leave mail twice and lose none.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

EX_TEMPORARY: Final = 111
EX_USAGE: Final = 100
_FROM: Final = re.compile(rb">*From ")
# mboxrd: each quoting adds one, so each reading takes one.
_QUOTED: Final = re.compile(rb">+From ")
_RETURN_PATH: Final = re.compile(rb"Return-Path: *<([^>]*)>", re.IGNORECASE)
_STATUS: Final = re.compile(rb"(X-)?Status:", re.IGNORECASE)
#: Of the fields Status and X-Status, as mbox programs write them, to the flags of maildir(5).
_FLAGS: Final = {b"R": "S", b"A": "R", b"F": "F", b"D": "T", b"T": "D"}


class Fatal(Exception):
    """The program ends with 111; the text says why."""


def maildir2mbox(environ: Mapping[str, str]) -> int:
    """Move what is in the Maildir MAILDIR to the end of the mbox MAIL; MAILTMP is a file beside it."""
    try:
        maildir, mbox, aside = (Path(_needed(environ, name)) for name in ("MAILDIR", "MAIL", "MAILTMP"))
        files = _files(maildir)
        if files:
            _append(files, mbox, aside)
            for path in files:
                path.unlink(missing_ok=True)
    except (Fatal, OSError) as error:
        return _fail("maildir2mbox", error)
    return 0


def mbox2maildir(arguments: Sequence[str]) -> int:
    """`mbox2maildir MBOX MAILDIR`: copy each message into the Maildir; the mbox stays."""
    if len(arguments) != 2:
        print("mbox2maildir: usage: mbox2maildir mbox maildir", file=sys.stderr)
        return EX_USAGE
    mbox, maildir = map(Path, arguments)
    try:
        count = 0
        with open(mbox, "rb") as source:
            fcntl.flock(source, fcntl.LOCK_SH)
            for message in messages(source):
                count += 1
                _put(maildir, message, count)
        for folder in ("new", "cur"):
            _sync(maildir / folder)
        print(f"{count} messages")
    except (Fatal, OSError) as error:
        return _fail("mbox2maildir", error)
    return 0


def _fail(name: str, error: Exception) -> int:
    shown = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    print(f"{name}: fatal: {shown}", file=sys.stderr)
    return EX_TEMPORARY


def _needed(environ: Mapping[str, str], name: str) -> str:
    if name not in environ:
        raise Fatal(f"{name} not set")
    return environ[name]


def _files(maildir: Path) -> list[Path]:
    """In the order of their coming."""
    found = [path for folder in ("new", "cur") for path in (maildir / folder).iterdir() if path.name[:1] != "."]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def _append(files: Sequence[Path], mbox: Path, aside: Path) -> None:
    with open(mbox, "ab", opener=_private) as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        with open(aside, "wb", opener=_private) as out:
            out.write(mbox.read_bytes())
            for path in files:
                _write(path, out)
            out.flush()
            os.fsync(out.fileno())
        os.rename(aside, mbox)
        _sync(mbox.parent)


def _private(path: str, flags: int) -> int:
    """A new file is its owner's alone."""
    return os.open(path, flags, 0o600)


def _write(path: Path, out: BinaryIO) -> None:
    content = path.read_bytes()
    # A line without its end is no line to qmail.
    lines = content.split(b"\n")[:-1]
    sender = _RETURN_PATH.match(lines[0]) if lines else None
    who = b"XXX" if sender is None else re.sub(rb"[ \t]", b"-", sender[1]) or b"MAILER-DAEMON"
    out.write(b"From %s %s\n" % (who, time.asctime(time.gmtime(path.stat().st_mtime)).encode()))
    for line in lines:
        out.write((b">" if _FROM.match(line) else b"") + line + b"\n")
    out.write(b"\n")


def messages(mbox: BinaryIO) -> Iterator[list[bytes]]:
    """The messages of an mbox as lines, without the lines that part them. Raises Fatal for what is none."""
    message: list[bytes] | None = None
    blank = True
    for line in mbox:
        if blank and line.startswith(b"From "):
            if message is not None:
                yield _whole(message)
            message, blank = [], False
            continue
        if message is None:
            if line.strip():
                raise Fatal("no mbox: expected a line that begins with `From `")
            continue
        blank = line in (b"\n", b"\r\n")
        message.append(line[1:] if _QUOTED.match(line) else line)
    if message is not None:
        yield _whole(message)


def _whole(message: list[bytes]) -> list[bytes]:
    """Without the empty line that parts it from the next."""
    return message[:-1] if message and message[-1] in (b"\n", b"\r\n") else message


def _put(maildir: Path, message: Sequence[bytes], number: int) -> None:
    name = f"{int(time.time())}.M{time.time_ns() // 1000 % 1_000_000}P{os.getpid()}Q{number}.mbox"
    aside = maildir / "tmp" / name
    end = next((at for at, line in enumerate(message) if not line.strip()), len(message))
    header, body = message[:end], message[end:]
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.writelines(line for line in header if not _STATUS.match(line))
        out.writelines(body)
        out.flush()
        os.fsync(out.fileno())
    said = b"".join(line.partition(b":")[2] for line in header if _STATUS.match(line))
    os.rename(aside, maildir / _place(name, said))


def _place(name: str, said: bytes) -> str:
    """Where a message lies of which Status and X-Status say this: in new where no program has seen it."""
    if not said.strip():
        return f"new/{name}"
    return f"cur/{name}:2,{''.join(sorted(flag for letter, flag in _FLAGS.items() if letter in said))}"


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
