"""Why a delivery stops early. Pure."""

from __future__ import annotations

from services.delivery.outcome import Kind, Outcome


class Refusal(Exception):
    """The delivery ends here; what was done before it stays done, as in qmail-local(8)."""

    def __init__(self, kind: Kind, text: bytes) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text  #: lines ending in a newline; may be empty

    @property
    def outcome(self) -> Outcome:
        """The report of an attempt that ended so."""
        return Outcome(self.kind, self.text)


def temporary(text: bytes) -> Refusal:
    """It may work later (qmail-local's exit code 111)."""
    return Refusal(Kind.DEFERRAL, text + b"\n")


def permanent(text: bytes) -> Refusal:
    """It will never work (qmail-local's exit code 100)."""
    return Refusal(Kind.FAILURE, text + b"\n")
