"""Whether a server elsewhere answers: one that did not is not asked again at once, so that nobody waits for it whose
password another module knows, and an alert stands until it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Nobody waits for a server that did not answer so long ago.
PAUSE_SECONDS: Final = 5.0
#: For a connection, and for an answer, each.
ANSWER_SECONDS: Final = 5


class Reach:
    """What is known of one server; several threads may tell."""

    def __init__(self, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._monotonic = monotonic
        self._trouble = ""
        self._until = 0.0

    @property
    def trouble(self) -> str:
        """What stands against it; empty where it has answered."""
        return self._trouble

    @property
    def may_ask(self) -> bool:
        """Whether it is to be asked."""
        return not self._trouble or self._monotonic() >= self._until

    def answered(self) -> None:
        """It works."""
        self._trouble = ""

    def failed(self, why: object) -> None:
        """It did not answer, or not as it should."""
        self._until = self._monotonic() + PAUSE_SECONDS
        text = " ".join(str(why).split())
        self._trouble = f"{self._name}: {text or type(why).__name__}; until it answers, its people cannot log in"
