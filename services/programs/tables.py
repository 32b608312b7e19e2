"""qmail-newu(8) and qmail-newmrh(8): users/cdb and control/morercpthosts.cdb for programs that read these.

The roles read users/assign and control/morercpthosts themselves; here the file is checked as qmail does it, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from qmail.control import cdb
from qmail.control.paths import read_paths
from services.programs.program import Ends, Program, fatal, of_system, write_all

_FIELDS = 6


def newu(_arguments: Sequence[bytes]) -> int:
    """users/assign to users/cdb."""
    directory = read_paths(os.environ).users
    try:
        content = (directory / "assign").read_bytes()
    except OSError as error:
        raise fatal(b"qmail-newu", b"unable to open users/assign") from error
    _compile(b"qmail-newu", directory, ("cdb.tmp", "cdb"), lambda: assignments(content))
    return 0


def assignments(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of users/cdb (qmail-users(5)); the last, under the empty key, holds the characters that end the
    prefixes of `+` lines. Raises ValueError for a line that is none, or where the dot at the end is missing."""
    wildcards = b""
    for line in content.split(b"\n"):
        if line.startswith(b"."):
            yield b"", wildcards
            return
        name, *fields = line.split(b":")
        if not name or b"\0" in line or len(fields) <= _FIELDS:
            raise ValueError("bad format in users/assign")
        plus = name.startswith(b"+")
        if plus and name[1:] and name[-1:] not in wildcards:
            wildcards += name[-1:]
        yield b"!" + name[1:].lower() + (b"" if plus else b"\0"), b"\0".join(fields[:_FIELDS])
    raise ValueError("bad format in users/assign")


def newmrh(_arguments: Sequence[bytes]) -> int:
    """control/morercpthosts to control/morercpthosts.cdb."""
    directory = read_paths(os.environ).control
    try:
        content = (directory / "morercpthosts").read_bytes()
    except OSError as error:
        raise of_system(b"qmail-newmrh", b"unable to read control/morercpthosts", error) from error
    hosts = (line.lower().rstrip(b" \t") for line in content.split(b"\n"))
    names = ("morercpthosts.tmp", "morercpthosts.cdb")
    _compile(b"qmail-newmrh", directory, names, lambda: ((host, b"") for host in hosts if host and host[:1] != b"#"))
    return 0


def _compile(
    program: bytes, directory: Path, names: tuple[str, str], records: Callable[[], Iterator[tuple[bytes, bytes]]]
) -> None:
    """Write aside, sync, rename. Raises Ends; what was written aside stays, as in qmail."""
    aside, final = (directory / name for name in names)
    shown = f"{directory.name}/{names[0]}".encode()
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.fchmod(descriptor, 0o644)
            write_all(descriptor, cdb.make(records()))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(aside, final)
    except ValueError as error:
        raise fatal(program, str(error).encode()) from error
    except OSError as error:
        raise _not_written(program, shown, error) from error


def _not_written(program: bytes, name: bytes, error: OSError) -> Ends:
    return of_system(program, b"unable to write " + name, error)


PROGRAMS: dict[str, Program] = {"qmail-newu": newu, "qmail-newmrh": newmrh}
