"""AUTH of an SMTP client (RFC 4954): PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195). Pure."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

#: In the order of preference. All are said within TLS alone, where a digest hides nothing more and wants the server to
#: know the password itself.
MECHANISMS = (b"PLAIN", b"LOGIN", b"CRAM-MD5")


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in at a relay."""

    user: bytes
    password: bytes = field(repr=False)


def choose_mechanism(offered: bytes) -> bytes | None:
    """By the parameters of EHLO's AUTH; None where none is known."""
    words = offered.upper().split()
    return next((mechanism for mechanism in MECHANISMS if mechanism in words), None)


class Exchange:
    """One AUTH command and what follows it."""

    def __init__(self, mechanism: bytes, login: Login) -> None:
        self._mechanism, self._login = mechanism, login
        self._words: Sequence[bytes] = (login.user, login.password) if mechanism == b"LOGIN" else ()
        self._digested = False

    def command(self) -> bytes:
        """The command, without its line end; PLAIN says all in it (RFC 4954 4)."""
        if self._mechanism == b"PLAIN":
            return b"AUTH PLAIN " + b64encode(b"\0" + self._login.user + b"\0" + self._login.password)
        return b"AUTH " + self._mechanism

    def answer(self, challenge: bytes) -> bytes | None:
        """To what stood behind 334, in base64; None where nothing more is to be said."""
        if self._words:
            word, self._words = self._words[0], self._words[1:]
            return b64encode(word)
        if self._mechanism != b"CRAM-MD5" or self._digested:
            return None
        self._digested = True
        try:
            text = b64decode(challenge, validate=True)
        except ValueError:
            return None
        digest = hmac.new(self._login.password, text, "md5").hexdigest().encode()
        return b64encode(self._login.user + b" " + digest)
