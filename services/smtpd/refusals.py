"""What is told of a reply that refuses: its kind and what was refused, never what may be a password. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from qmail.door.sasl import MECHANISMS
from qmail.log.notices import Refused
from qmail.message.address import Address
from services.smtpd import replies

Tell: TypeAlias = Callable[[Refused, bytes, bytes], None]

#: Hears which entry of which control file refused an address.
Hit: TypeAlias = Callable[[str, bytes], None]

MAX_SHOWN_BYTES = 300

_KINDS = {
    b"mail": Refused.SENDER,
    b"rcpt": Refused.RECIPIENT,
    b"data": Refused.MESSAGE,
    b"auth": Refused.LOGIN,
    b"star": Refused.TLS,
}
_OF_THE_CONNECTION = frozenset({replies.TIMEOUT, replies.STOPPING})
# A client whose AUTH was refused may go on with what it would have answered.
_MAY_BE_SECRET = frozenset({replies.UNIMPLEMENTED, replies.LINE_TOO_LONG, replies.BAD_COMMANDS})
_NOT_SHOWN = b"(a line after AUTH, not shown)"


class Refusals:
    """One client's. `tell` hears of each: its kind, what was refused, the reply."""

    __slots__ = ("_auth_refused", "_tell")

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._auth_refused = False

    def add(self, command: bytes, reply: bytes, sender: Address) -> None:
        """`command` is the line that was refused, or the one that began what was."""
        verb = command.lstrip()[:4].lower()
        kind = Refused.CONNECTION if reply in _OF_THE_CONNECTION else _KINDS.get(verb, Refused.COMMAND)
        self._auth_refused = self._auth_refused or verb == b"auth"
        what = command[:MAX_SHOWN_BYTES].rstrip(b"\r")
        if verb == b"auth":
            named = [word for word in what.upper().split()[1:2] if word in MECHANISMS]
            what = b" ".join([b"AUTH", *named])
        elif kind is Refused.COMMAND and self._auth_refused and reply in _MAY_BE_SECRET:
            what = _NOT_SHOWN
        elif kind in (Refused.RECIPIENT, Refused.MESSAGE):
            what += b" from <" + sender.raw + b">"
        self._tell(kind, what, reply.rstrip(b"\r\n"))
