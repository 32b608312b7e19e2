"""SASL's PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login-00), one exchange for SMTP, POP3 and IMAP. Pure.

The protocols differ in how they wrap what is said: `334 `, `+ ` or `+ ` before a challenge; base64 is the same in all
(RFC 4954 section 4, RFC 5034 section 4, RFC 3501 section 6.2.2).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

#: In the order in which they are offered.
MECHANISMS: Final = (b"PLAIN", b"LOGIN")
#: A client's word that there is nothing to say, in place of an empty initial response.
NOTHING: Final = b"="
CANCEL: Final = b"*"


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be sent, base64 already; the client's next line is the response to it."""

    text: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What the client claims; either may be empty or too long, which auth has to judge."""

    mechanism: str
    user: bytes
    password: bytes


class Fault(Enum):
    """The exchange is over without credentials."""

    CANCELLED = "cancelled by the client"
    MALFORMED = "not base64, or not what the mechanism says"


Step: TypeAlias = Challenge | Credentials | Fault

_USERNAME: Final = Challenge(base64.b64encode(b"Username:"))
_PASSWORD: Final = Challenge(base64.b64encode(b"Password:"))


class Exchange:
    """One attempt of a client."""

    def __init__(self, mechanism: bytes) -> None:
        """`mechanism` is one of MECHANISMS."""
        self._mechanism = mechanism
        self._user: bytes | None = None

    def begin(self, initial: bytes | None) -> Step:
        """With the initial response, where the command had one."""
        if initial is not None:
            return self.answer(initial)
        return Challenge(b"") if self._mechanism == b"PLAIN" else _USERNAME

    def answer(self, line: bytes) -> Step:
        """The client's response, without its line end."""
        text = line.rstrip(b"\r ")
        if text == CANCEL:
            return Fault.CANCELLED
        message = decode(text)
        if message is None:
            return Fault.MALFORMED
        if self._mechanism == b"PLAIN":
            return parse_plain(message)
        if self._user is None:
            self._user = message
            return _PASSWORD
        return Credentials("LOGIN", self._user, message)


def decode(text: bytes) -> bytes | None:
    """The base64 decoded, None where it is none."""
    if text == NOTHING:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def parse_plain(message: bytes) -> Credentials | Fault:
    """A PLAIN message; to act as somebody else (RFC 4616's authzid) is nobody allowed."""
    fields = message.split(b"\0")
    if len(fields) != 3:
        return Fault.MALFORMED
    acting_as, user, password = fields
    return Credentials("PLAIN", user, password) if user and acting_as in (b"", user) else Fault.MALFORMED
