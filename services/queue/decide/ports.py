"""What the scheduler tells the world; the service carries it out on the bus."""

from __future__ import annotations

from typing import Protocol

from qmail.queue.talk.jobs import Job
from qmail.queue.talk.reports import Report
from services.queue.decide.message import Message


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
