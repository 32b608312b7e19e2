"""What qmail-inject takes from its environment and the control files (qmail-inject(8))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmail.control import Control, ControlError
from services.inject import replies
from services.inject.addresses import Defaults
from services.inject.tokens import ParseError, Token, parse_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Who sends, which defaults complete addresses, and QMAILINJECT's letters."""

    name: bytes | None
    user: bytes
    host: bytes | None
    return_user: bytes
    return_host: bytes | None
    letters: frozenset[int]
    id_host: bytes
    defaults: Defaults
    followup: frozenset[bytes] | None

    def has(self, letter: str) -> bool:
        """Whether QMAILINJECT holds the letter: c s f i r m."""
        return ord(letter) in self.letters


def read_settings(environ: Mapping[bytes, bytes], control: Control) -> Settings:
    """Read everything. Raises Fatal where a file cannot be read or a default is no host."""
    try:
        followup = _read_followup(environ)
        # control_init: an unreadable me is an error even where nothing needs it.
        control.line("me")
        defaults = Defaults(
            domain=_default(environ, control, "defaultdomain", b"."),
            host=_default(environ, control, "defaulthost", b"@"),
            plus=_default(environ, control, "plusdomain", b"."),
        )
        id_host = _value(environ, control, "idhost")
    except (ControlError, OSError):
        replies.read_error()
    host = _first(environ, b"QMAILHOST", b"MAILHOST")
    user = _first(environ, b"QMAILUSER", b"MAILUSER", b"USER", b"LOGNAME")
    user = b"anonymous" if user is None else user
    return Settings(
        name=_first(environ, b"QMAILNAME", b"MAILNAME", b"NAME"),
        user=user,
        host=host,
        return_user=environ.get(b"QMAILSUSER", user),
        return_host=environ.get(b"QMAILSHOST", host) if host is not None else environ.get(b"QMAILSHOST"),
        letters=frozenset(environ.get(b"QMAILINJECT", b"")),
        id_host=id_host,
        defaults=defaults,
        followup=followup,
    )


def _first(environ: Mapping[bytes, bytes], *names: bytes) -> bytes | None:
    return next((environ[name] for name in names if name in environ), None)


def _value(environ: Mapping[bytes, bytes], control: Control, name: str) -> bytes:
    line = control.line(name)
    if line is None:
        line = control.line("me")
    from_file = name.encode() if line is None else line
    return environ.get(b"QMAIL" + name.upper().encode(), from_file)


def _default(environ: Mapping[bytes, bytes], control: Control, name: str, before: bytes) -> tuple[Token, ...]:
    text = before + _value(environ, control, name)
    try:
        return tuple(reversed(parse_tokens(text)))
    except ParseError:
        replies.unparsable_line(text)


def _read_followup(environ: Mapping[bytes, bytes]) -> frozenset[bytes] | None:
    path = environ.get(b"QMAILMFTFILE")
    if path is None:
        return None
    file = Path(path.decode("utf-8", "surrogateescape"))
    lines = Control(file.parent).lines(file.name) if file.name else None
    return None if lines is None else frozenset(line.lower() for line in lines)
