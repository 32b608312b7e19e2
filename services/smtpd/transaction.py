"""The SMTP dialogue, bytes in, effects out (RFC 5321; qmail-smtpd(8)): the table of states and verbs. Pure.

`control/extensions` = none takes the verbs and answers of qmail 1.03; else those of ours are added, and qmail's
texts stay as they are.
"""

from __future__ import annotations

from services.smtpd import replies
from services.smtpd.dialogue import EXIT_QUIT, Step
from services.smtpd.facts import Hooked
from services.smtpd.states import MAIL, RCPT, START
from services.smtpd.text import TextSteps


class Transaction(TextSteps):
    """One client's dialogue. After an Ask call `answered` or `failed`; nothing else comes out before."""

    def _mail_first(self, argument: bytes) -> None:
        self._bad(replies.MAIL_FIRST)

    def _rcpt_first(self, argument: bytes) -> None:
        self._bad(replies.RCPT_FIRST)

    def _noop(self, argument: bytes) -> None:
        self._reply(replies.OK)

    def _help(self, argument: bytes) -> None:
        self._reply(replies.HELP)

    def _vrfy(self, argument: bytes) -> None:
        self._reply(replies.VRFY)

    def _rset(self, argument: bytes) -> None:
        self._forget_mail()
        self._reply(replies.FLUSHED)

    def _quit(self, argument: bytes) -> None:
        self._end(replies.quit(self.policy.greeting), EXIT_QUIT)

    def _helo_verb(self, argument: bytes) -> None:
        self._greeted("HELO", argument, replies.helo(self.policy.greeting))

    def _ehlo_verb(self, argument: bytes) -> None:
        self._greeted("EHLO", argument, replies.ehlo(self.policy.greeting, self._keywords()))

    def _greeted(self, name: str, argument: bytes, text: bytes) -> None:
        self._forget_mail()
        self._helo = argument
        self._received_head = None
        self._extended = name == "EHLO"
        self._bad_commands = 0

        def decided(hooked: Hooked) -> None:
            self._reply(text if hooked.status is None else hooked.status)

        self._hooked(name, argument, (), decided)

    def _keywords(self) -> list[bytes]:
        """RFC 5321 4.1.1.1. qmail 1.03 has the first two."""
        if not self.policy.extensions:
            return [b"PIPELINING", b"8BITMIME"]
        keywords = [b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"SIZE %d" % self._limit]
        if self.client.tls_offered:
            keywords.append(b"STARTTLS")
        if self.client.auth_offered:
            keywords.append(b"AUTH PLAIN LOGIN")
        return [*keywords, b"HELP"]


_ANYTIME: dict[bytes, Step] = {
    b"helo": Transaction._helo_verb,
    b"ehlo": Transaction._ehlo_verb,
    b"mail": Transaction._mail,
    b"rset": Transaction._rset,
    b"noop": Transaction._noop,
    b"help": Transaction._help,
    b"vrfy": Transaction._vrfy,
    b"quit": Transaction._quit,
}
_EXTENSIONS: dict[bytes, Step] = {b"starttls": Transaction._starttls, b"auth": Transaction._no_auth_now}

Transaction.QMAIL_TABLE = {
    START: {**_ANYTIME, b"rcpt": Transaction._mail_first, b"data": Transaction._mail_first},
    MAIL: {**_ANYTIME, b"rcpt": Transaction._rcpt, b"data": Transaction._rcpt_first},
    RCPT: {**_ANYTIME, b"rcpt": Transaction._rcpt, b"data": Transaction._data},
}
Transaction.TABLE = {
    START: {**Transaction.QMAIL_TABLE[START], **_EXTENSIONS, b"auth": Transaction._auth},
    MAIL: {**Transaction.QMAIL_TABLE[MAIL], **_EXTENSIONS},
    RCPT: {**Transaction.QMAIL_TABLE[RCPT], **_EXTENSIONS},
}
