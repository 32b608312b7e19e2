"""No message answered 250 is ever lost: roles, the bus and all together are killed at random while mail comes in.

Small and large mail, to one and to two recipients, to another host, forwarded, refused by a program so that it
bounces, and deferred here or there some times before it goes (tests/crash/kinds.py). Nobody finds a message twice but
who has moved the first copy (diva reads meanwhile); what was forwarded or relayed just before a crash may be forwarded
or relayed again. Now and then nothing is under way any more; then the bus and the queue are killed, and nothing of what
had ended comes back: not into the queue, not to anybody, and no false bounce (tests/crash/past.py).

`make crash` runs 5 rounds of 2,000.
CRASH_MESSAGES (default 300) messages a round and CRASH_ROUNDS (default 1) rounds; CRASH_SEED repeats a run.
"""

from __future__ import annotations

import collections
import itertools
import os
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.kinds import BOUNCED, FarHost, Found, Reader, in_maildir, kind_of, write_dot_qmails
from tests.crash.past import Past
from tests.support.deployment import eventually
from tests.support.make_run import MakeRun
from tests.support.queue_http import flush, is_empty
from tests.support.source import ROOT

MESSAGES = int(os.environ.get("CRASH_MESSAGES", "300"))
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
SENDERS = 4
PART_MESSAGES = 500
# How many messages are answered between two kills: by messages, not by time, so that a slow machine gets on as well.
BETWEEN_KILLS = (1, max(2, MESSAGES // 12))
LOOK_SECONDS = 0.02
DRAIN_SECONDS = 180
VICTIMS = (
    "services.smtpd",
    "services.queue",
    "services.delivery.local",
    "services.delivery.remote",
    "services.log",
    "nats-server",
    "all",
)


@pytest.fixture
def far() -> Iterator[FarHost]:
    host = FarHost()
    host.start()
    yield host
    host.stop()


@pytest.fixture
def run(far: FarHost) -> Iterator[MakeRun]:
    directory = Path(tempfile.mkdtemp(prefix="qmail-crash-"))
    directory.chmod(0o755)
    deployment = MakeRun(directory / "var")
    (directory / "var" / "control").mkdir(parents=True)
    (directory / "var" / "control" / "smtproutes").write_text(f"far.example:127.0.0.1:{far.port}\n")
    deployment.start()
    deployment.drain()
    for name in ("joni", "diva"):
        subprocess.run(
            [sys.executable, "-m", "services.admin.commands.qmailctl", "useradd", name],
            input=b"rahasia\n",
            env=deployment.environ,
            cwd=ROOT,
            check=True,
        )
    write_dot_qmails(directory / "var" / "home" / "joni")
    yield deployment
    deployment.stop()
    shutil.rmtree(directory)


@dataclass
class Sent:
    """What the senders know: attempts of each message, and those answered 250."""

    attempts: collections.Counter[int] = field(default_factory=collections.Counter)
    accepted: set[int] = field(default_factory=set)


class Senders:
    """Several SMTP clients that try each message until it is answered 250, as any MTA does."""

    def __init__(self, port: int, numbers: range, sent: Sent) -> None:
        self._port = port
        self._todo = collections.deque(numbers)
        self.sent = sent
        self._pause = threading.Event()
        self._threads = [threading.Thread(target=self._send_all, daemon=True) for _ in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _send_all(self) -> None:
        while True:
            try:
                number = self._todo.popleft()
            except IndexError:
                return
            while not self._send(number):
                self._pause.wait(0.1)

    def _send(self, number: int) -> bool:
        kind = kind_of(number)
        text = f"Subject: crash\r\nX-Number: {number}\r\n\r\nNgetes aja lho ....\r\n{kind.padding}"
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as client:
                self.sent.attempts[number] += 1
                client.sendmail("ari@xeris.com", list(kind.recipients), text)
        except (OSError, smtplib.SMTPException):
            return False
        self.sent.accepted.add(number)
        return True


class Killer:
    """SIGKILL to a random role, the bus or everything, at random times; the supervisor starts them again.

    What was deferred is made due before each, so that it is tried between two deaths."""

    def __init__(self, deployment: MakeRun, sent: Sent, chance: random.Random) -> None:
        self._deployment, self._sent, self._random = deployment, sent, chance
        self._stop = threading.Event()
        self._thread = threading.Thread()
        self.killed: collections.Counter[str] = collections.Counter()
        self._error: Exception | None = None

    def start(self) -> None:
        """Once more after each `stop`."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Raises what the thread ended with."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._kill_until_stopped()
        except Exception as error:
            self._error = error

    def _kill_until_stopped(self) -> None:
        while self._wait_for_messages(self._random.randint(*BETWEEN_KILLS)):
            victim = self._random.choice(VICTIMS)
            flush(self._deployment)
            for program, pid in self._deployment.roles().items():
                if victim in ("all", program):
                    self._kill(pid)
            self.killed[victim] += 1

    def _wait_for_messages(self, count: int) -> bool:
        """Return True when that many more have been answered 250; False when it is time to stop."""
        target = len(self._sent.accepted) + count
        while len(self._sent.accepted) < target:
            if self._stop.wait(LOOK_SECONDS):
                return False
        return True

    @staticmethod
    def _kill(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def drain(deployment: MakeRun, told: str) -> None:
    """Wait until nothing is left; what waits is made due meanwhile."""
    try:
        eventually(lambda: flush(deployment) and is_empty(deployment), "an empty queue", seconds=DRAIN_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{told}\n{what_is_left(deployment)}") from None


def what_is_left(deployment: MakeRun) -> str:
    """For whoever must find out why the queue does not drain: qmailctl's view, and the log's end."""
    shown = [f"running: {deployment.roles()}"]
    for command in ("stat", "queue"):
        answer = subprocess.run(
            [str(ROOT / "qmailctl"), command],
            env=deployment.environ,
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        shown.append((answer.stdout + answer.stderr).decode(errors="replace"))
    lines = [line for line in deployment.log.read_text(errors="replace").splitlines() if "tcpserver" not in line]
    return "\n".join([*shown, *lines[-60:]])


def missing(sent: Sent, found: dict[str, Found]) -> list[tuple[int, str]]:
    """What was answered 250 and is not where it must be."""
    wanted = [(number, place) for number in sorted(sent.accepted) for place in kind_of(number).places]
    return [(number, place) for number, place in wanted if number not in found[place].numbers]


def parts() -> list[range]:
    """The messages, some hundred at a time: after each part nothing is under way."""
    count = max(1, MESSAGES // PART_MESSAGES)
    bounds = [MESSAGES * part // count for part in range(count + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]


def expect_no_false_bounce(maildir: Path) -> None:
    """Only what was refused comes back to its sender, and with what was sent."""
    for folder in ("new", "cur"):
        for path in (maildir / folder).iterdir():
            text = path.read_text(errors="replace")
            assert "(The message itself is lost.)" not in text, text
            number = re.search(r"^X-Number: (\d+)", text, re.MULTILINE)
            assert number is not None and kind_of(int(number[1])) is BOUNCED, text


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_message_answered_250_arrives_none_twice_and_none_comes_back(
    run: MakeRun, far: FarHost, number: int
) -> None:
    seed = int(os.environ.get("CRASH_SEED", str(random.randrange(1 << 32))))
    sent, past, chance = Sent(), Past(run, far), random.Random(seed)
    killer = Killer(run, sent, chance)
    maildirs = {name: run.directory / "home" / name / "Maildir" for name in ("ari", "diva", "joni")}
    reader = Reader(maildirs["diva"])
    reader.start()
    for part in parts():
        senders = Senders(run.ports["SMTP_PORT"], part, sent)
        senders.start()
        killer.start()
        eventually(senders.done, "all messages answered 250", seconds=DRAIN_SECONDS * 5)
        killer.stop()
        drain(run, told(seed, killer))
        past.settle_and_kill()
    drain(run, told(seed, killer))
    reader.stop()
    found = {name: in_maildir(maildir) for name, maildir in maildirs.items()} | {"far.example": far.found}
    counts = {place: len(one.numbers) for place, one in found.items()}
    revived = past.revived()
    print(f"{told(seed, killer)}: {MESSAGES} answered 250, found {counts}, came back {len(revived)}")
    assert not missing(sent, found), "lost"
    assert not revived, "ended and come back"
    assert not [qp for qp, copies in found["joni"].qps.items() if copies > 1], "one message twice"
    # A client that got no answer sends again; more copies than attempts nobody can explain.
    assert all(copies <= sent.attempts[n] for n, copies in found["joni"].numbers.items())
    expect_no_false_bounce(maildirs["ari"])


def told(seed: int, killer: Killer) -> str:
    """What it takes to repeat a round."""
    return f"seed {seed} killed {dict(killer.killed)}"
