"""The states of the dialogue."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where the dialogue is: MAIL and RCPT mean that these were accepted."""

    START = "start"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    AUTH = "auth"
    CLOSED = "closed"


# Before Python 3.12 every `State.X` is a call; the hot path has them as plain names.
START, MAIL, RCPT, DATA, CLOSED = State.START, State.MAIL, State.RCPT, State.DATA, State.CLOSED
COMMAND_STATES = (START, MAIL, RCPT)
