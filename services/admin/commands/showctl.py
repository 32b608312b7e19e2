"""qmail-showctl(8): what the control files say, in its sentences, and in sentences of the same form for ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qmail.control.files import Control, ControlError
from qmail.control.kinds import (
    Addresses,
    BadAddressList,
    ClientRules,
    Instructions,
    Names,
    Pairs,
    Presence,
    Servers,
    meant_lines,
)
from qmail.control.names import unread_in
from qmail.control.table import TABLE, ControlFile
from qmail.message.printable import printable
from services.admin.commands.deployment import Deployment, no_arguments

_OF_LINES = Addresses | BadAddressList | ClientRules | Instructions | Names | Pairs | Servers


def showctl(deployment: Deployment, arguments: list[str]) -> int:
    no_arguments(arguments)
    print(render(Control(deployment.directories.paths.control)), end="")
    return 0


def render(control: Control) -> str:
    """The whole text. Raises OSError where the directory cannot be listed."""
    home = control.directory.parent
    head = f"qmail home directory: {home}.\nuser-ext delimiter: -.\npaternalism (in decimal): 2.\n"
    files = "".join(f"\n{file.name}: {_sentences(control, file)}\n" for file in TABLE)
    others = unread_in(control.directory)
    unknown = "".join(
        f"\n{printable(name)}: I have no idea what this file does. {printable(text)}\n" for name, text in others.items()
    )
    return head + files + unknown


def _sentences(control: Control, file: ControlFile[Any]) -> str:
    try:
        own, value = control.own(file), control.get(file)
    except ControlError as error:
        return f"Oops! Trouble reading this file. {printable(str(error))}"
    if own is None:
        return f"(Default.) {_default(file, value)}"
    if isinstance(file.kind, _OF_LINES):
        return "".join(f"\n{file.sentence.format(line)}" for line in _lines(control, file))
    if isinstance(file.kind, Presence) or (value in (False, 0, b"") and file.unset):
        return file.sentence if isinstance(file.kind, Presence) else file.unset
    return file.sentence.format(_shown(value))


def _default(file: ControlFile[Any], value: object) -> str:
    return file.unset or file.sentence.format(_shown(value))


def _lines(control: Control, file: ControlFile[Any]) -> Iterator[str]:
    content = (control.directory / file.name).read_bytes()
    yield from (printable(line) for _, line in meant_lines(content))


def _shown(value: object) -> str:
    if value is True:
        return "none"
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return printable(value) if isinstance(value, bytes) else str(value)
