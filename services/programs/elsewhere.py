"""Programs that can do nothing here: the work is another's, and each says whose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from services.programs.program import Program, fatal

_ENGINE = (
    b"the engine keeps the roles running (restart: unless-stopped), without containers make run; see qmailctl stat"
)
_QUEUE = b"the role queue does its work; see qmailctl stat, qmailctl queue"
_DOOR = b"a role with a door of its own does its work"
_ADMIN = b"not in this container; it is in admin: docker compose exec admin "

_WHOSE = {
    **dict.fromkeys(("supervise", "svscan", "svscanboot", "readproctitle", "fghack"), _ENGINE),
    **dict.fromkeys(("qmail-start", "qmail-send", "qmail-clean"), _QUEUE),
    "qmail-lspawn": b"the role delivery-local does its work",
    "qmail-local": b"the role delivery-local does its work; qmailctl check ADDRESS says what would be done",
    "qmail-rspawn": b"the role delivery-remote does its work",
    "qmail-remote": b"the role delivery-remote does its work",
    "qmail-smtpd": _DOOR + b": smtpd, control/tcp.smtp",
    "qmail-popup": _DOOR + b": pop3",
    "qmail-pop3d": _DOOR + b": pop3",
    "tcpserver": _DOOR + b": smtpd, pop3 and imap; control/tcp.smtp, control/concurrencyincoming",
}
# Where admin's own take no precedence.
_OF_ADMIN = (
    "checkpassword", "qmail-qread", "qmail-qstat", "qmail-showctl", "svc", "svok", "svstat", "tcprules",
    "tcprulescheck",
)  # fmt: skip


def _say(name: str, whose: bytes, _arguments: Sequence[bytes]) -> int:
    raise fatal(name.encode(), whose)


PROGRAMS: dict[str, Program] = {
    **{name: partial(_say, name, whose) for name, whose in _WHOSE.items()},
    **{name: partial(_say, name, _ADMIN + name.encode()) for name in _OF_ADMIN},
}
