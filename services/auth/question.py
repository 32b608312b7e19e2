"""Requests and answers on `ask.pass`: JSON, bytes as latin-1 text. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from qmail.accounts import Account

#: The longest request taken, in bytes: name and password, each escaped by JSON at its worst.
MAX_REQUEST_BYTES: Final = 16 * 1024
MAX_NAME_BYTES: Final = 256
#: What the admin role sets no longer than.
MAX_PASSWORD_BYTES: Final = 1000

NO: Final = b'{"ok":false}'
TEMPORARY: Final = b'{"ok":false,"temporary":true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Is this the password of that user? Its text form never shows the password."""

    user: bytes
    password: bytes
    service: str
    ip: str
    apop: bool

    def __repr__(self) -> str:
        return f"Question(user={self.user!r}, service={self.service!r}, ip={self.ip!r})"


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
            apop="apop" in found,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    too_long = len(question.user) > MAX_NAME_BYTES or len(question.password) > MAX_PASSWORD_BYTES
    return None if too_long or not question.user or not question.password else question


def render_yes(account: Account) -> bytes:
    """The account whose mail may be touched."""
    return json.dumps(
        {
            "ok": True,
            "name": account.name.decode("latin-1"),
            "uid": account.uid,
            "gid": account.gid,
            "home": str(account.home),
        }
    ).encode()
