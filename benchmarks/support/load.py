"""Mail from Postfix's smtp-source into a server's Maildirs: how fast it arrives, and what CPU it costs."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.deployment import role_of
from benchmarks.support.processes import Process

MESSAGE_BYTES = 3000
DEADLINE_SECONDS = 180
LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """`messages` over `sessions` connections at a time, kept or new for each message, shared among the mailboxes."""

    messages: int
    sessions: int
    kept: bool
    mailboxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement."""

    per_second: float
    cpu_ms: dict[str, float]  # a message, by role

    @property
    def cpu_total_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(frozen=True, slots=True)
class Target:
    """A server to be measured; `by_role`: its processes are told apart."""

    address: str
    port: int
    maildir: Callable[[str], Path]
    processes: Callable[[], list[Process]]
    by_role: bool


def measure(target: Target, load: Load) -> Run:
    """Time a load from the first connection to the last message in its Maildir, and the CPU of all processes."""
    maildirs = [target.maildir(name) for name in load.mailboxes]
    for maildir in maildirs:
        empty(maildir)

    def deliver() -> None:
        send(target, load)
        for maildir in maildirs:
            wait_for(maildir, load.messages // len(maildirs))

    return timed(target, load.messages, deliver)


def timed(target: Target, messages: int, deliver: Callable[[], None]) -> Run:
    """What it takes to deliver so many messages, and the CPU of all processes meanwhile."""
    before = cpu_seconds(target)
    started = time.monotonic()
    deliver()
    took = time.monotonic() - started
    after = cpu_seconds(target)
    cpu = {name: (seconds - before.get(name, 0.0)) * 1000 / messages for name, seconds in after.items()}
    return Run(messages / took, {name: ms for name, ms in cpu.items() if ms > 0.001})


def send(target: Target, load: Load) -> None:
    """One smtp-source a mailbox, all at once. Raises CalledProcessError, TimeoutExpired."""
    share = len(load.mailboxes)
    part = Load(load.messages // share, load.sessions // share, load.kept, load.mailboxes)
    commands = [source(target, part, f"{name}@xeris.com") for name in load.mailboxes]
    senders = [subprocess.Popen(command) for command in commands]
    for sender, command in zip(senders, commands, strict=True):
        if code := sender.wait(DEADLINE_SECONDS):
            raise subprocess.CalledProcessError(code, command)


def source(target: Target, load: Load, recipient: str, size_bytes: int = MESSAGE_BYTES) -> list[str]:
    """The command that sends the load's messages to one recipient."""
    command = ["smtp-source", "-l", str(size_bytes), "-m", str(load.messages), "-s", str(load.sessions)]
    command += [*(["-d"] if load.kept else []), "-f", "ari@xeris.com", "-t", recipient]
    return [*command, f"{target.address}:{target.port}"]


def wait_for(maildir: Path, count: int, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Return when the Maildir holds that many new messages. Raises TimeoutError."""
    new = maildir / "new"
    deadline = time.monotonic() + deadline_seconds
    while not new.is_dir() or len(os.listdir(new)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(os.listdir(new))} of {count} messages arrived in {new}")
        time.sleep(LOOK_SECONDS)


def cpu_seconds(target: Target) -> dict[str, float]:
    """CPU so far by role, or all in one."""
    total: dict[str, float] = defaultdict(float)
    for process in target.processes():
        total[role_of(process.command) if target.by_role else "all"] += process.cpu_seconds
    return total


def empty(maildir: Path) -> None:
    """Put an empty Maildir in the place of what is there."""
    # Moved aside, not removed: making files where thousands were just removed is slow on ext4, for both.
    if maildir.exists():
        maildir.rename(maildir.with_name(f"before-{time.monotonic_ns()}"))
    owner = maildir.parent.stat()
    for name in ("", "new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
        os.chown(maildir / name, owner.st_uid, owner.st_gid)
        os.chmod(maildir / name, 0o700)
