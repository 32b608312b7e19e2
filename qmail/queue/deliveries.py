"""A delivery as the scheduler and its workers speak of it: where the message lies, the job, how it ended. Pure."""

from __future__ import annotations

from typing import Final

from qmail.message.address import Address
from qmail.message.value import value

BEAT_SECONDS: Final = 2.0
#: Three beats that were missed.
SILENCE_SECONDS: Final = 6.0
#: The letter of a deferral because no stream has the message: the scheduler looks for it.
MISSING: Final = "M"

#: A job's name: message, recipient number, attempt.
Key = tuple[int, int, int]


@value()
class RecordPosition:
    """A message is number `index` in the record `in.<record>`; its body begins at byte `offset` of the payload."""

    sequence: int
    record: int
    index: int = 0
    offset: int = 0

    def as_list(self) -> list[int]:
        """For a record or a message of the bus; `Place(*list)` makes it again."""
        return [self.sequence, self.record, self.index, self.offset]


@value()
class Job:
    """One delivery to make; (id, number, attempt) is its name, `held` says that HOLD has the message, `place` where IN
    has it. qmail's delivery number is the log's business."""

    id: int
    number: int
    attempt: int
    held: bool
    position: RecordPosition
    sender: Address
    recipient: Address

    @property
    def recipient_key(self) -> tuple[int, int]:
        """Whom it is for, whichever attempt it is."""
        return self.id, self.number

    @property
    def key(self) -> tuple[int, int, int]:
        """The job's name."""
        return self.id, self.number, self.attempt


@value()
class JobGroup:
    """Jobs of one scheduler, whose epoch tells an old one from a new one."""

    epoch: int
    jobs: tuple[Job, ...]


@value()
class Report:
    """How a delivery ended, as its worker says; letter is K, Z or D (qmail-local, qmail-remote), or MISSING."""

    id: int
    number: int
    attempt: int
    letter: str
    text: bytes

    @property
    def key(self) -> Key:
        return self.id, self.number, self.attempt


@value()
class ReportGroup:
    """Reports of one worker."""

    worker: str
    reports: tuple[Report, ...]


@value()
class Confirmation:
    """What the reports of these jobs say is on stable storage: they need not be repeated."""

    epoch: int
    confirmed: tuple[Key, ...]


@value()
class Heartbeat:
    """A worker, its running jobs, whether it takes no more, and which jobs (message and recipient number) are slow."""

    worker: str
    running: tuple[Key, ...]
    stopping: bool = False
    slow: tuple[tuple[int, int], ...] = ()
