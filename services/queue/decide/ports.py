"""What the scheduler tells the world; the service carries it out on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qmail.queue.record_position import Place
from services.queue.decide.message import Message


@dataclass(frozen=True, slots=True)
class Job:
    """One delivery to make: qmail's delivery number is the log's business, (id, number, attempt) the job's name."""

    id: int
    number: int
    attempt: int
    held: bool
    place: Place
    sender: bytes
    recipient: bytes


# The letter of a deferral because no stream has the message.
MISSING = "M"


@dataclass(frozen=True, slots=True)
class Report:
    """How a delivery ended, as its worker says; letter is K, Z or D (qmail-local, qmail-remote), or MISSING."""

    id: int
    number: int
    attempt: int
    letter: str
    text: bytes


class Out(Protocol):
    """The scheduler's effects. None of them waits; what must be stored before something else is kept in order
    by the one who carries them out."""

    def log(self, line: str) -> None:
        """One line in qmail's words."""

    def start_job(self, channel: str, job: Job) -> None:
        """Give a job to a worker."""

    def recipient_done(self, message: Message, number: int, channel: str, worker: str, report: Report) -> None:
        """A success of a message that has no state record: a line in the next done record, then a confirmation."""

    def save(self, message: Message, channel: str, worker: str, reports: list[Report]) -> None:
        """Store the state record, then confirm the reports."""

    def confirm(self, channel: str, worker: str, report: Report) -> None:
        """Confirm a report that changes nothing."""

    def ended(self, message: Message) -> None:
        """Nothing is left to do: forget the message, once all about it that must be stored is."""

    def bounce(self, message: Message) -> None:
        """Have the bounce written; `Scheduler.bounced` is called when it is on the bus."""

    def load(self, message_id: int) -> None:
        """Read a sleeping message's state record; `Scheduler.wake` is called with it."""
