"""A deployment small enough for a unit test: real homes, real threads, real programs; the bus in memory.

As root every user has a uid of its own (per-user); otherwise all are the caller (single).
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qmail.accounts.assign import Accounts
from qmail.accounts.identity import ActingPool
from qmail.control.files import Control
from qmail.message.address import Address
from qmail.message.envelope import Envelope, MailParameters, Origin, Recipient
from qmail.message.ids import IdSource
from qmail.queue.deliveries import Job, RecordPosition
from qmail.queue.fetch import Fetched
from qmail.queue.put import Submitter
from services.delivery.local.announce import Announcer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.local.forward import Forwarder
from services.delivery.local.lookup import Lookup
from services.delivery.local.spawn import Spawner
from services.delivery.outcome import Outcome
from services.delivery.worker import Delivery
from tests.support.memory_bus import MemoryBus
from tests.support.stored import fetch_all

PER_USER = os.geteuid() == 0 or "QMAIL_TEST_PER_USER" in os.environ
# Of this process alone: the kernel counts the processes of a uid on the whole machine, and a program that is one too
# many is not run ("Unable to run /bin/sh"), whoever has started the others.
_FIRST_UID = 20_000 + os.getpid() % 5_000 * 8
USERS = {"ari": _FIRST_UID, "joni": _FIRST_UID + 1, "diva": _FIRST_UID + 3, "alias": 900}
MESSAGE = b"From: ari@xeris.com\nSubject: tes\n\nNgetes aaah ....\n"
PREFIX = b"Received: (qmail 42 invoked from network); 27 May 2003 16:27:04 -0000\n"
FAR_FUTURE_MS = 2**42


def envelope(prefix: bytes = PREFIX, message_id: int = 42) -> Envelope:
    return Envelope(
        id=message_id,
        time_ms=1054052944000,
        size_bytes=len(MESSAGE),
        chunk_count=0,
        origin=Origin(uid=0, role="smtpd"),
        sender=Address(b"ari@xeris.com"),
        recipients=(Recipient(Address(b"joni@xeris.com")),),
        parameters=MailParameters(body_type="8BITMIME"),
        prefix=prefix,
    )


class Deployment:
    """Homes and control files below `root`; `deliver` and `using` run real local delivery in it."""

    def __init__(self, root: Path, spawner: Spawner) -> None:
        self.root = root
        self._spawner = spawner
        self.bus = MemoryBus()
        self.published: list[tuple[str, bytes]] = []

    @classmethod
    def made(cls, root: Path, spawner: Spawner) -> Deployment:
        """A new deployment in an empty directory."""
        made = cls(root, spawner)
        made._make()
        return made

    def _make(self) -> None:
        root = self.root
        (root / "control").mkdir()
        (root / "control/me").write_text("mail.xeris.com\n")
        (root / "control/locals").write_text("xeris.com\n")
        lines = []
        for user, uid in USERS.items():
            self._make_home(user)
            ids = f"{uid}:{uid}" if PER_USER else f"{os.getuid()}:{os.getgid()}"
            where = f"{user}:{ids}:{self.home(user)}"
            lines += [f"+:{where}:-::"] if user == "alias" else [f"={user}:{where}:::", f"+{user}-:{where}:-::"]
        (root / "assign").write_text("".join(f"{line}\n" for line in lines) + ".\n")

    def lookup(self) -> Lookup:
        return Lookup(Accounts(self.root / "assign"), Control(self.root / "control"))

    def home(self, user: str) -> Path:
        return self.root / user

    def own(self, path: Path, user: str) -> None:
        if PER_USER:
            os.lchown(path, USERS[user], USERS[user])

    def write(self, user: str, name: str, content: bytes, mode: int = 0o600) -> Path:
        """A file of the user's."""
        path = self.home(user) / name
        path.write_bytes(content)
        path.chmod(mode)
        self.own(path, user)
        return path

    def mails(self, user: str, maildir: str = "Maildir") -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.home(user) / maildir / "new").iterdir())]

    def make_maildir(self, user: str, name: str = "Maildir") -> None:
        for path in (self.home(user) / name / sub for sub in ("", "tmp", "new", "cur")):
            path.mkdir(mode=0o700)
            self.own(path, user)

    def _make_home(self, user: str) -> None:
        self.home(user).mkdir()
        self.make_maildir(user)
        self.home(user).chmod(0o700)
        self.own(self.home(user), user)

    def using(self, work: Callable[[LocalDelivery, ActingPool], Awaitable[object]], seconds: float = 20) -> object:
        """Run `work` with a local delivery that is closed afterwards."""

        async def run() -> object:
            ids = IdSource()
            ids.grant(1, 0, FAR_FUTURE_MS)
            pool = ActingPool(per_user=PER_USER, threads=3)
            try:
                local = LocalDelivery(
                    lookup=self.lookup(),
                    pool=pool,
                    spawner=self._spawner,
                    forwarder=Forwarder(Submitter(self.bus, ids)),
                    announcer=Announcer(lambda subject, payload: self.published.append((subject, payload))),
                    per_user=PER_USER,
                    base_environment={b"PATH": b"/usr/bin:/bin"},
                    program_seconds=seconds,
                )
                return await work(local, pool)
            finally:
                pool.close()

        return asyncio.run(run())

    def delivery(self, recipient: bytes, body: bytes = MESSAGE, large: bool = False) -> Delivery:
        """What the worker would hand over."""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 1000):
                yield body[start : start + 1000]

        return Delivery(
            job=Job(42, 0, 1, False, RecordPosition(1, 42), Address(b"ari@xeris.com"), Address(recipient)),
            envelope=envelope(),
            body=None if large else body,
            pieces=chunks,
        )

    def deliver(
        self,
        recipient: bytes,
        body: bytes = MESSAGE,
        *,
        large: bool = False,
        seconds: float = 20,
        times: int = 1,
        between: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Deliver one message, `times` times, with something done in between; the last outcome."""
        delivery = self.delivery(recipient, body, large)

        async def work(local: LocalDelivery, _: ActingPool) -> Outcome:
            for attempt in range(1, times):
                await local.deliver(replace(delivery, job=replace(delivery.job, attempt=attempt)))
                between()
            return await local.deliver(replace(delivery, job=replace(delivery.job, attempt=times)))

        outcome = self.using(work, seconds)
        assert isinstance(outcome, Outcome)
        return outcome

    def submitted(self) -> list[Fetched]:
        """What was put on the bus."""
        return asyncio.run(fetch_all(self.bus))


def is_gone(pid: int) -> bool:
    """Whether a process that is not ours ends within ten seconds."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    """One for all tests: starting a process takes longer than most of them."""
    started = Spawner()
    yield started
    started.close()


@pytest.fixture
def deployment(spawner: Spawner) -> Iterator[Deployment]:
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield Deployment.made(root, spawner)
    shutil.rmtree(root)
