"""What qmail-inject takes from its environment and the control files (qmail-inject(8))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmail.control.files import Control, ControlError
from qmail.control.kinds import lines_of_qmail
from qmail.control.table import DEFAULTDOMAIN, DEFAULTHOST, IDHOST, ME, PLUSDOMAIN, ControlFile
from qmail.message.address import in_a_line
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
    """Read everything. Raises Fatal where a file cannot be read or a default is no host.

    Names and hosts become header lines, and a web form's visitor may have written them: each is one line (in_a_line).
    """
    environ = {name: in_a_line(value) for name, value in environ.items()}
    try:
        followup = _read_followup(environ)
        # control_init: an unreadable me is an error even where nothing needs it.
        control.own(ME)
        defaults = Defaults(
            domain=_default(environ, control, DEFAULTDOMAIN, b"."),
            host=_default(environ, control, DEFAULTHOST, b"@"),
            plus=_default(environ, control, PLUSDOMAIN, b"."),
        )
        id_host = _value(environ, control, IDHOST)
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


def _value(environ: Mapping[bytes, bytes], control: Control, file: ControlFile[bytes]) -> bytes:
    """The environment's, else the file's, else control/me, else the file's own name (control_rldef)."""
    values = (environ.get(b"QMAIL" + file.name.upper().encode()), control.own(file), control.own(ME))
    return next((value for value in values if value is not None), file.name.encode())


def _default(
    environ: Mapping[bytes, bytes], control: Control, file: ControlFile[bytes], before: bytes
) -> tuple[Token, ...]:
    text = before + _value(environ, control, file)
    try:
        return tuple(reversed(parse_tokens(text)))
    except ParseError:
        replies.unparsable_line(text)


def _read_followup(environ: Mapping[bytes, bytes]) -> frozenset[bytes] | None:
    path = environ.get(b"QMAILMFTFILE")
    if not path:
        return None
    try:
        content = Path(path.decode("utf-8", "surrogateescape")).read_bytes()
    except FileNotFoundError:
        return None
    return frozenset(line.lower() for line in lines_of_qmail(content))
