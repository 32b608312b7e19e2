"""The states of the dialogue. Pure."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where the dialogue is: MAIL and RCPT mean that these were accepted; in TLS the handshake runs."""

    START = "start"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    AUTH = "auth"
    TLS = "tls"
    CLOSED = "closed"

    # Enum's own is a call of Python's at each look into the table.
    __hash__ = object.__hash__


# Before Python 3.12 every `State.X` is a call; the hot path has them as plain names.
START, MAIL, RCPT, DATA = State.START, State.MAIL, State.RCPT, State.DATA
AUTH, TLS, CLOSED = State.AUTH, State.TLS, State.CLOSED
