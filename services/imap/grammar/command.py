"""A command's tag, its name, and its arguments as the table of commands has them parsed (RFC 3501 section 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax

_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]{1,256}(?= |\Z)')

#: Takes a command's arguments. Raises BadSyntax.
Parser: TypeAlias = Callable[[Cursor], Any]


class Syntax(Protocol):
    """What the table of commands tells of a command's form."""

    @property
    def name(self) -> bytes:
        """In upper case, `UID FETCH` with one blank."""

    @property
    def parse(self) -> Parser | None:
        """None: there are no arguments."""

    @property
    def takes_message(self) -> bool:
        """Whether the command ends with a message as a literal; `parse` takes what stands before it."""


Row = TypeVar("Row", bound=Syntax)


@dataclass(frozen=True, slots=True)
class Bad:
    """Not a command: the tag to answer with (None: there is none) and what was wrong."""

    tag: bytes | None
    text: str


def split_tag(parts: tuple[bytes, ...]) -> tuple[bytes | None, Cursor]:
    """The tag, None if there is no proper one, and the cursor behind it."""
    cursor = Cursor(parts)
    found = _TAG.match(cursor.text)
    if found is None:
        return None, cursor
    cursor.position = found.end()
    return found[0], cursor


def parse_command(parts: tuple[bytes, ...], table: Mapping[bytes, Row]) -> tuple[bytes, Row, Any] | Bad:
    """The tag of a complete command, its row in the table, and its arguments."""
    tag, cursor = split_tag(parts)
    if tag is None:
        return Bad(None, "no tag")
    try:
        row = _row(cursor, table)
        if row is None:
            raise BadSyntax("unknown command")
        arguments = _arguments(cursor, row)
        cursor.end()
    except BadSyntax as error:
        return Bad(tag, str(error))
    return tag, row, arguments


def parse_before_message(parts: tuple[bytes, ...], table: Mapping[bytes, Row]) -> tuple[Row, Any] | None:
    """Row and arguments of a command whose `parts` are all up to its message; None for every other command, and while
    the literal to come is still an argument. Raises BadSyntax for wrong arguments before a message."""
    _, cursor = split_tag(parts)
    try:
        row = _row(cursor, table)
    except BadSyntax:
        return None
    if row is None or row.parse is None or not row.takes_message:
        return None
    cursor.space()
    return None if cursor.at_end() else (row, row.parse(cursor))


def _row(cursor: Cursor, table: Mapping[bytes, Row]) -> Row | None:
    cursor.space()
    name = cursor.word()
    if name == b"UID":
        cursor.space()
        name = b"UID " + cursor.word()
    return table.get(name)


def _arguments(cursor: Cursor, row: Syntax) -> Any:
    if row.parse is None:
        return None
    cursor.space()
    if row.takes_message:
        raise BadSyntax(f"{row.name.decode()} needs a message as a literal")
    return row.parse(cursor)
