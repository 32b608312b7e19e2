"""A scheduler without a bus: its effects are kept in lists, its clock is the test's."""

from __future__ import annotations

from qmail.control.routing import Routes
from qmail.message.address import Address
from qmail.message.envelope import Envelope, MailParameters, Origin, Recipient
from qmail.queue.record_position import Place
from qmail.queue.talk.jobs import Job
from qmail.queue.talk.reports import Report
from services.queue.decide.message import Message
from services.queue.decide.scheduler import Scheduler
from services.queue.settings import Order


class Recorder:
    """Keeps what the scheduler says; records count as stored at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.jobs: list[tuple[str, Job]] = []
        self.done: list[tuple[int, int]] = []
        self.saved: list[int] = []
        self.confirmed: list[Report] = []
        self.forgotten: list[int] = []
        self.bounces: list[Message] = []
        self.loads: list[int] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def start_job(self, channel: str, job: Job) -> None:
        self.jobs.append((channel, job))

    def recipient_done(self, message: Message, number: int, channel: str, worker: str, report: Report) -> None:
        self.done.append((message.id, number))
        self.confirmed.append(report)

    def save(self, message: Message, channel: str, worker: str, reports: list[Report]) -> None:
        self.saved.append(message.id)
        self.confirmed += reports

    def confirm(self, channel: str, worker: str, report: Report) -> None:
        self.confirmed.append(report)

    def ended(self, message: Message) -> None:
        self.forgotten.append(message.id)

    def bounce(self, message: Message) -> None:
        self.bounces.append(message)

    def load(self, message_id: int) -> None:
        self.loads.append(message_id)


ROUTES = Routes(
    locals=frozenset({b"xeris.com", b"mail.xeris.com"}),
    virtualdomains={b"virt.example": b"joni"},
    percenthack=frozenset(),
    envnoathost=b"mail.xeris.com",
)


def make_scheduler(
    *, local: int = 10, remote: int = 20, lifetime: int = 604800, routes: Routes = ROUTES
) -> tuple[Scheduler, Recorder]:
    """A scheduler whose workers are there."""
    out = Recorder()
    scheduler = Scheduler(
        order=Order(routes=routes, concurrency={"local": local, "remote": remote}, lifetime_seconds=lifetime), out=out
    )
    scheduler.accepting_work = {"local": True, "remote": True}
    return scheduler, out


def make_envelope(
    message_id: int, *recipients: bytes, sender: bytes = b"ari@xeris.com", birth: int = 0, hold_until: int = 0
) -> Envelope:
    """An accepted message; `birth` in seconds since the epoch."""
    return Envelope(
        id=message_id,
        time_ms=birth * 1000,
        size_bytes=100,
        chunk_count=0,
        origin=Origin(uid=901, role="smtpd", remote_ip="192.168.1.1"),
        sender=Address(sender),
        recipients=tuple(Recipient(Address(recipient)) for recipient in recipients),
        parameters=MailParameters(hold_until_ms=hold_until * 1000),
        prefix=b"Received: x\n",
    )


def accept(scheduler: Scheduler, envelope: Envelope, sequence: int, now: int) -> None:
    """A new message, alone in its record of IN."""
    scheduler.accept(envelope, Place(sequence, envelope.id), now)


def answer(scheduler: Scheduler, job: Job, letter: str, text: bytes, now: float, channel: str = "local") -> None:
    """A worker's report on a job."""
    scheduler.report(channel, "w", [Report(job.id, job.number, job.attempt, letter, text)], now)
