"""`ask.pass`: is this the password of that user? Asked by smtpd, pop3 and imap, answered by auth.

JSON in ASCII whose strings are the latin-1 reading of bytes (docs/formats.md; tests/golden/ask-pass.json).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qmail.accounts.assign import Account
from qmail.bus.ports import BusDown
from qmail.bus.talk.messages import AskBus

SUBJECT: Final = "ask.pass"
#: auth has given its answer by then; whoever asks waits a little longer.
ANSWER_SECONDS: Final = 35.0
ASK_SECONDS: Final = 40.0
#: The longest request taken, in bytes: name and password, each escaped by JSON at its worst.
MAX_REQUEST_BYTES: Final = 16 * 1024
#: RFC 4616 section 2 demands 255 octets of both.
MAX_NAME_BYTES: Final = 255
#: What the admin role sets no longer than.
MAX_PASSWORD_BYTES: Final = 1000

NO: Final = b'{"ok":false}'
TEMPORARY: Final = b'{"ok":false,"temporary":true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Is this the password of that user? Its text form never shows the password.

    shared: many clients come from `ip` that have nothing to do with each other. apop: the server's stamp, where
    `password` is APOP's digest (RFC 1939 section 7)."""

    user: bytes
    password: bytes
    service: str
    ip: str
    tls: bool = False
    shared: bool = False
    apop: bytes = b""

    def __repr__(self) -> str:
        return f"Question(user={self.user!r}, service={self.service!r}, ip={self.ip!r})"

    @property
    def possible(self) -> bool:
        """Whether any account could have this name and password."""
        lengths = 0 < len(self.user) <= MAX_NAME_BYTES and 0 < len(self.password) <= MAX_PASSWORD_BYTES
        return lengths and b"\0" not in self.user and b"\0" not in self.password


async def ask(bus: AskBus, question: Question) -> Account | None:
    """The account whose mail may be touched; None: name or password is wrong.

    Raises TemporaryError where auth does not answer in ASK_SECONDS or cannot say."""
    if not question.possible:
        return None
    return parse_answer(await bus.request(SUBJECT, encode_question(question), ASK_SECONDS))


def encode_question(question: Question) -> bytes:
    fields: dict[str, Any] = {
        "user": question.user.decode("latin-1"),
        "password": question.password.decode("latin-1"),
        "service": question.service,
        "ip": question.ip,
        "tls": question.tls,
    }
    if question.shared:
        fields["shared"] = True
    if question.apop:
        fields["apop"] = question.apop.decode("latin-1")
    return json.dumps(fields).encode()


def parse_question(payload: bytes) -> Question | None:
    """None for what is too long or not a request at all: the answer to it is no."""
    if len(payload) > MAX_REQUEST_BYTES:
        return None
    try:
        found = json.loads(payload)
        question = Question(
            user=found["user"].encode("latin-1"),
            password=found["password"].encode("latin-1"),
            service=str(found.get("service", ""))[:32],
            ip=str(found.get("ip", ""))[:64],
            tls=found.get("tls") is True,
            shared=found.get("shared") is True,
            apop=str(found.get("apop", "")).encode("latin-1"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return question if question.possible else None


def encode_yes(account: Account) -> bytes:
    return json.dumps(
        {
            "ok": True,
            "name": account.name.decode("latin-1"),
            "uid": account.uid,
            "gid": account.gid,
            "home": str(account.home),
        }
    ).encode()


def parse_answer(payload: bytes) -> Account | None:
    """The account, None for no. Raises BusDown: auth cannot say now, or what it says is no answer."""
    try:
        found = json.loads(payload)
        if found["ok"] is True:
            return Account(found["name"].encode("latin-1"), int(found["uid"]), int(found["gid"]), Path(found["home"]))
        temporary = bool(found.get("temporary"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BusDown(f"auth's answer was not understood: {error}") from error
    if temporary:
        raise BusDown("auth cannot say now")
    return None
