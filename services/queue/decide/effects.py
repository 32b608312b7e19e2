"""What the scheduler has done to the world, in the order in which it says so; services.queue.run.driver does it.

**The order that no crash may break.** Each line is done only when the one above it is on stable storage, and what is
stored comes back as `events.Stored`:

1. a delivery ended: `StoreDone`, or `StoreState` where more must be remembered than that;
2. stored: `Confirm`; until then the worker repeats its report;
3. the last recipient ended and something failed: `WriteBounce`, which ends as `events.Bounced`;
4. nothing is left: `StoreEnd`, but where there was no more than done records, which say so already;
5. stored: `Clean`, which removes the envelope, then the body, the records above last (services.queue.store.cleaner).

A crash between two lines repeats a step that finds itself done; it never leaves a message without its record.
"""

from __future__ import annotations

from qmail.message.value import value
from qmail.queue.deliveries import Job, Report
from services.queue.decide.message import QueuedMessage


class Effect:
    """One of these."""

    __slots__ = ()


@value()
class Log(Effect):
    """Lines in qmail's words (qmail-log(5))."""

    lines: tuple[str, ...]


@value()
class StartJob(Effect):
    """Give a job to a worker of the channel."""

    channel: str
    job: Job


@value()
class Confirm(Effect):
    """Tell a worker that its report need not be repeated."""

    channel: str
    worker: str
    report: Report


@value()
class StoreDone(Effect):
    """A success of a message that has no state record: a line in the next done record."""

    message: QueuedMessage
    number: int
    confirm: Confirm


@value()
class StoreState(Effect):
    """The state record as it is when its turn comes; `confirm` is None where no report is behind it."""

    message: QueuedMessage
    confirm: Confirm | None


@value()
class StoreEnd(Effect):
    """A line in the next done record for the whole message, after its last state record."""

    message: QueuedMessage


@value()
class Clean(Effect):
    """Remove what the streams have of a message."""

    message: QueuedMessage


@value()
class Forget(Effect):
    """The message has left memory: the same number stored once more is no new message."""

    message_id: int


@value()
class WriteBounce(Effect):
    """Have the bounce put, as often as it takes."""

    message: QueuedMessage


@value()
class Read(Effect):
    """Read a sleeping message's state record; it comes as `events.Woken`, or is set aside."""

    message_id: int


@value()
class LetSleep(Effect):
    """The message need not stay in memory, if it only waits."""

    message: QueuedMessage


@value()
class LookFor(Effect):
    """A worker did not find the message where it should be."""

    message_id: int
