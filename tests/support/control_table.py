"""The table of chapter 5.2.2 from qmail.control.table's rows; `python -m tests.support.control_table` writes it."""

from __future__ import annotations

from typing import Any

from qmail.control.kinds import (
    Addresses,
    AuthDaemonRc,
    BadAddressList,
    ClientRules,
    Instructions,
    Line,
    ModuleNames,
    Names,
    Networks,
    Number,
    Pairs,
    Presence,
    Routes,
    Servers,
    Switch,
)
from qmail.control.table import OURS, TABLE, ControlFile
from tests.support.source import ROOT

CHAPTER = ROOT / "docs" / "5-installation.md"
HEAD = ("| file | holds | without it | who takes it, and when | what it says |", "|---|---|---|---|---|")


def render_table() -> str:
    """The whole table, with the line end of its last row."""
    return "\n".join((*HEAD, *map(_row, TABLE))) + "\n"


def table_in(chapter: str) -> str:
    """What the chapter has in its place."""
    start = chapter.index(HEAD[0])
    rows = chapter[start:].partition("\n\n")[0]
    return rows + "\n"


def _row(file: ControlFile[Any]) -> str:
    manual = "" if file.manual == OURS else f", {file.manual}"
    times = dict.fromkeys(use.taken for use in file.uses)
    takers = "; ".join(f"{', '.join(use.role for use in file.uses if use.taken is time)}: {time}" for time in times)
    return f"| `{file.name}`{manual} | {_holds(file)} | {_without(file)} | {takers} | {file.says} |"


def _holds(file: ControlFile[Any]) -> str:
    match file.kind:
        case Number(unit=unit):
            return f"a number of {unit}"
        case (
            Names(expected=expected)
            | Pairs(expected=expected)
            | BadAddressList(expected=expected)
            | Routes(expected=expected)
            | Servers(expected=expected)
        ):
            return f"lines, each {expected}"
        case Addresses():
            return "lines, each one IP address"
        case Networks():
            return "lines, each one IP address or network"
        case Line(expected=expected):
            return expected
        case ModuleNames():
            return "names of modules"
        case AuthDaemonRc():
            return 'assignments, as in authmodulelist="authpam"'
        case Switch(word=word):
            return f"`{word.decode()}`"
        case Instructions():
            return "lines as in .qmail"
        case ClientRules():
            return "lines of tcprules"
        case Presence():
            return "anything"
    raise NotImplementedError(file.kind)


def _without(file: ControlFile[Any]) -> str:
    """In words, or what stands in, or the value."""
    default = file.without or ("" if file.default in (b"", None) else _shown(file.default))
    if file.as_qmail is not None:
        default += f" ({_shown(file.as_qmail)} with `extensions` `none`)"
    return ", else ".join(filter(None, ("" if file.stands_in is None else f"`{file.stands_in.name}`", default)))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    text = CHAPTER.read_text(encoding="utf-8")
    CHAPTER.write_text(text.replace(table_in(text), render_table()), encoding="utf-8")
