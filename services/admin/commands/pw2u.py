"""qmail-pw2u(8): users/assign from a passwd(5), with the files include, exclude, mailnames, subusers and append."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

EX_USAGE: Final = 100
EX_TEMPORARY: Final = 111
ALIAS: Final = "alias"


class Fatal(Exception):
    """The program ends with 111; the text is qmail's."""


class Homes(StrEnum):
    """What a missing home is: a reason to skip its user, to stop, or nothing to look at."""

    SKIP = "o"
    STOP = "h"
    UNSEEN = "H"


@dataclass(slots=True)
class _Options:
    """How homes are looked at (-o, -h, -H), capitals (-U, -u), what parts a name from its extension (-c, -C, -/)."""

    homes: Homes = Homes.SKIP
    capitals: bool = False
    dash: str = "-"
    slash: bool = False


def qmail_pw2u(arguments: Sequence[str], directory: Path) -> int:
    """The program; `directory` is users."""
    try:
        options = _read_options(arguments)
    except ValueError as error:
        print(f"qmail-pw2u: {error}", file=sys.stderr)
        return EX_USAGE
    try:
        lines = list(render(sys.stdin, directory, options, _home_owner))
    except Fatal as error:
        print(f"qmail-pw2u: fatal: {error}", file=sys.stderr)
        return EX_TEMPORARY
    print("\n".join(lines))
    return 0


def _read_options(arguments: Sequence[str]) -> _Options:
    options = _Options()
    for word in arguments:
        if not word.startswith("-") or word == "-":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "c":
                if not letters:
                    raise ValueError("option requires an argument -- c")
                options.dash, letters = letters[0], ""
            elif letter == "C":
                options.dash = ""
            elif letter == "/":
                options.slash = True
            elif letter in "Uu":
                options.capitals = letter == "u"
            elif letter in "ohH":
                options.homes = Homes(letter)
            else:
                raise ValueError(f"illegal option -- {letter}")
    return options


def render(
    passwd: Iterable[str], directory: Path, options: _Options, owner: Callable[[str], int | None]
) -> Iterator[str]:
    """The lines of users/assign, the dot at their end. owner: a home's uid, None where there is none. Raises Fatal."""
    include, exclude = _names(directory / "include"), _names(directory / "exclude") or set()
    mailnames, subusers = _mailnames(directory / "mailnames"), _subusers(directory / "subusers")
    accounts: dict[str, str] = {}
    aliased = False
    for line in passwd:
        fields = line.rstrip("\n").split(":")
        if len(fields) != 7 or not fields[0]:
            continue
        name, uid, gid, home = fields[0], fields[2], fields[3], fields[5]
        if name == ALIAS:
            aliased = True
            yield f"+:{name}:{uid}:{gid}:{home}:{_dash(options)}::"
        if (include is not None and name not in include) or name in exclude:
            continue
        if not uid.isdecimal() or int(uid) == 0 or not _is_there(name, uid, home, options, owner):
            continue
        accounts[name] = f"{name}:{uid}:{gid}:{home}"
        for each in mailnames.get(name, [name]):
            yield from _lines(each, accounts[name], "", options)
    if not aliased:
        raise Fatal(f"unable to find {ALIAS} user")
    for sub, name, extension in subusers:
        if name in accounts:
            yield from _lines(sub, accounts[name], extension, options)
    yield from _read(directory / "append")
    yield "."


def _lines(name: str, who: str, extension: str, options: _Options) -> Iterator[str]:
    dash = _dash(options) if extension else ""
    yield f"={name}:{who}:{dash}:{extension}:"
    if options.dash:
        behind = f"{extension}-" if extension else ""
        yield f"+{name}{options.dash}:{who}:{_dash(options)}:{behind}:"


def _dash(options: _Options) -> str:
    return "-/" if options.slash else "-"


def _is_there(name: str, uid: str, home: str, options: _Options, owner: Callable[[str], int | None]) -> bool:
    if options.homes is not Homes.UNSEEN:
        found = owner(home)
        if found is None and options.homes is Homes.STOP:
            raise Fatal(f"unable to stat {home}")
        if found != int(uid):
            return False
    return options.capitals or name == name.lower()


def _home_owner(home: str) -> int | None:
    """Raises Fatal where it cannot be known."""
    try:
        return os.stat(home).st_uid
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Fatal(f"unable to stat {home}: {error.strerror}") from error


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Fatal(f"unable to read {path.name}: {error.strerror}") from error
    return [line for line in text.splitlines() if line.strip()]


def _names(path: Path) -> set[str] | None:
    return {line.strip() for line in _read(path)} if path.exists() else None


def _mailnames(path: Path) -> dict[str, list[str]]:
    found = (line.split(":") for line in _read(path))
    return {name: [each for each in names if each] for name, *names in found}


def _subusers(path: Path) -> list[tuple[str, str, str]]:
    fields = (line.split(":") for line in _read(path))
    return [(each[0], each[1], each[2]) for each in fields if len(each) > 2]
