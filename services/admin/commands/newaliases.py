"""newaliases: /etc/aliases as sendmail has it (aliases(5)), compiled for `| fastforward -d /etc/aliases.cdb`.

Debian's own writes into /etc, which cannot be written here; this one writes fastforward's instructions, and
setforward(1) makes the database of them, on the volume of the aliases.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EX_TEMPORARY: Final = 111
ALIASES: Final = "aliases"
INCLUDE: Final = ":include:"
#: A recipient: what is quoted may hold commas.
_RECIPIENT: Final = re.compile(r'(?:"(?:\\.|[^"\\])*"|\\.|[^,"\\])+')
_SPECIAL: Final = re.compile(r"([\s,;:#\\])")


class BadAliases(Exception):
    """A line that cannot be meant; the text has its number."""


@dataclass(frozen=True, slots=True)
class Alias:
    """One entry, and the number of its first line."""

    name: str
    recipients: tuple[str, ...]
    line: int


def newaliases(directory: Path, host: str) -> int:
    """Compile `aliases` of the directory to `aliases.cdb`. host: of recipients without one."""
    try:
        text = (directory / ALIASES).read_text(encoding="utf-8", errors="surrogateescape")
        instructions = render(parse(text), host)
    except (OSError, BadAliases) as error:
        why = error.strerror if isinstance(error, OSError) else error
        print(f"newaliases: fatal: unable to read /etc/aliases: {why}", file=sys.stderr)
        return EX_TEMPORARY
    command = ["setforward", f"{ALIASES}.cdb", f"{ALIASES}.tmp"]
    try:
        data = instructions.encode("utf-8", "surrogateescape")
        done = subprocess.run(command, cwd=directory, input=data, check=False, umask=0o022)
    except FileNotFoundError:
        print("newaliases: fatal: there is no setforward; expected Debian's fastforward", file=sys.stderr)
        return EX_TEMPORARY
    return EX_TEMPORARY if done.returncode else 0


def parse(text: str) -> list[Alias]:
    """The entries; a line that begins with a blank goes on where the one before ended. Raises BadAliases."""
    found: list[Alias] = []
    for number, line in _whole_lines(text):
        name, colon, rest = line.partition(":")
        recipients = tuple(each.strip() for each in _RECIPIENT.findall(rest) if each.strip())
        if not colon or not name.strip() or not recipients:
            raise BadAliases(f"line {number}: expected a name, a colon, and who gets its mail")
        found.append(Alias(name.strip().strip('"'), recipients, number))
    return found


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    whole: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and whole is not None:
            whole = (whole[0], f"{whole[1]} {line.strip()}")
            continue
        if whole is not None:
            yield whole
        whole = (number, line)
    if whole is not None:
        yield whole


def render(aliases: Iterable[Alias], host: str) -> str:
    """setforward's instructions. An owner- alias is the sender of what its list sends. Raises BadAliases."""
    known = list(aliases)
    owners = {alias.name.lower() for alias in known if alias.name.lower().startswith("owner-")}
    lines = []
    for alias in known:
        commands = [_command(each, alias, host) for each in alias.recipients]
        owner = f"owner-{alias.name.lower()}"
        if owner in owners:
            commands.insert(0, f"?{_escaped(owner)}@{host}")
        target = alias.name if "@" in alias.name else f"{alias.name}@"
        lines.append(f"{_escaped(target)}: {', '.join(commands)};\n")
    return "".join(lines)


def _command(recipient: str, alias: Alias, host: str) -> str:
    text = re.sub(r"\\(.)", r"\1", recipient[1:-1]) if recipient.startswith('"') else recipient.lstrip("\\")
    if text.startswith("|"):
        return f"!{_escaped(text[1:].strip())}"
    if text.startswith(INCLUDE):
        return f"{_escaped(text.removeprefix(INCLUDE).strip())}.bin"
    if text.startswith(("/", ".")):
        raise BadAliases(f"line {alias.line}: {text}: no file is written to; expected a .qmail with this line in it")
    return f"&{_escaped(text if '@' in text else f'{text}@{host}')}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
