"""SMTP to Maildir: this project against a Postfix that delivers to Maildirs, on this machine in one run.

Both may deliver 20 messages to a mailbox at a time (Postfix's default; concurrencylocal). Both get the same messages
from Postfix's smtp-source, take turns three times, and are timed until the last message is in the Maildir. Ours runs
per-user, with every fsync and the full log. One line more is the composed product, where an engine is and
BENCH_COMPOSED is not 0. Needs uid 0 and Debian's postfix package.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.composed import Composed, engine_answers
from benchmarks.deployment import Deployment, free_port, role_of
from benchmarks.disk import spread
from benchmarks.peer_postfix import POSTFIX, Postfix
from benchmarks.processes import Process, tree

MESSAGE_BYTES = 3000
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SESSIONS = tuple(int(n) for n in os.environ.get("BENCH_SESSIONS", "1 10 40").split())
MESSAGES = {1: 600, 10: 3000, 40: 3000}
DEADLINE_SECONDS = 180


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
    """A server to be measured."""

    address: str
    port: int
    maildir: Path
    processes: Callable[[], list[Process]]
    by_role: bool


def send(target: Target, count: int, sessions: int, kept: bool) -> None:
    """smtp-source: `count` messages over `sessions` connections at a time, kept or new for each message."""
    command = ["smtp-source", "-l", str(MESSAGE_BYTES), "-m", str(count), "-s", str(sessions)]
    command += ["-d"] if kept else []
    command += ["-f", "ari@xeris.com", "-t", "joni@xeris.com", f"{target.address}:{target.port}"]
    subprocess.run(command, check=True, timeout=DEADLINE_SECONDS)


def wait_for(maildir: Path, count: int, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Return when the Maildir holds that many new messages. Raises TimeoutError."""
    new = maildir / "new"
    deadline = time.monotonic() + deadline_seconds
    while not new.is_dir() or len(os.listdir(new)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(os.listdir(new))} of {count} messages arrived in {new}")
        time.sleep(0.01)


def cpu_by(processes: list[Process], role: bool) -> dict[str, float]:
    """CPU seconds by role, or all in one."""
    total: dict[str, float] = defaultdict(float)
    for process in processes:
        total[role_of(process.command) if role else "postfix"] += process.cpu_seconds
    return total


def measure(target: Target, count: int, sessions: int, kept: bool) -> Run:
    """Time one run from the first connection to the last message in the Maildir, and the CPU of all processes."""
    empty(target.maildir)
    before = cpu_by(target.processes(), target.by_role)
    started = time.monotonic()
    send(target, count, sessions, kept)
    wait_for(target.maildir, count)
    took = time.monotonic() - started
    after = cpu_by(target.processes(), target.by_role)
    cpu = {name: (seconds - before.get(name, 0.0)) * 1000 / count for name, seconds in after.items()}
    return Run(count / took, {name: ms for name, ms in cpu.items() if ms > 0.001})


def empty(maildir: Path) -> None:
    """Put an empty Maildir in the place of what is there."""
    # Moved aside, not removed: making files where thousands were just removed is slow on ext4, for both.
    if maildir.exists():
        maildir.rename(maildir.with_name(f"before-{time.monotonic_ns()}"))
    for name in ("", "new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
        os.chown(maildir / name, maildir.parent.stat().st_uid, maildir.parent.stat().st_gid)
        os.chmod(maildir / name, 0o700)


def report(sessions: int, kept: bool, ours: list[Run], theirs: list[Run]) -> float:
    """A row of the table; the ratio of the medians."""
    mine, peer = rate(ours), rate(theirs)
    cpu = f"{cpu_ms(ours):5.2f} {cpu_ms(theirs):5.2f}"
    print(f"{load(sessions, kept)} {mine:9.0f} {peer:9.0f} {mine / peer:6.2f}   {cpu}   {by_role(ours)}", flush=True)
    return mine / peer


def load(sessions: int, kept: bool) -> str:
    """The first two columns."""
    return f"{sessions:8d} {'kept' if kept else 'new '}"


def rate(runs: list[Run]) -> float:
    """Messages a second."""
    return statistics.median(run.per_second for run in runs)


def cpu_ms(runs: list[Run]) -> float:
    """Of all processes, a message."""
    return statistics.median(run.cpu_total_ms for run in runs)


def by_role(runs: list[Run]) -> str:
    """Each role's CPU."""
    names = sorted(runs[0].cpu_ms)
    return " ".join(f"{name} {statistics.median(run.cpu_ms.get(name, 0.0) for run in runs):.2f}" for name in names)


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("local_delivery: needs uid 0 (per-user delivery) and Debian's package postfix (smtp-source)")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ratios = run_all(Deployment(base / "ours"), Postfix(base / "postfix", free_port()))
    if os.environ.get("BENCH_COMPOSED") != "0" and engine_answers():
        run_composed()
    print("local_delivery ratio to postfix: " + ", ".join(ratios))
    return 0


def run_all(ours: Deployment, peer: Postfix) -> list[str]:
    """Both servers, all shapes of load; the ratios, each with its load."""
    ratios: list[str] = []
    print("                 messages/s                  CPU ms a message")
    print("sessions conn      ours   postfix  ratio    ours postfix  ours by role")
    try:
        ours.control("concurrencylocal", "20\n")
        ours.start()
        ours.control("concurrencyincoming", "200\n")
        ours.control("concurrencyperip", "200\n")
        ours.useradd("joni", "jonipass")
        peer.start()
        maildir = ours.directory / "home" / "joni" / "Maildir"
        mine = Target("127.0.0.1", ours.ports["SMTP_PORT"], maildir, lambda: tree(ours.pid), True)
        theirs = Target("127.0.0.1", peer.port, peer.maildir, lambda: tree(peer.master_pid()), False)
        for sessions in SESSIONS:
            for kept in (True, False):
                turns = [
                    [measure(one, MESSAGES.get(sessions, 2000), sessions, kept) for one in (mine, theirs)]
                    for _ in range(ROUNDS)
                ]
                ratio = report(sessions, kept, [turn[0] for turn in turns], [turn[1] for turn in turns])
                label = f"{sessions} session{'s' if sessions > 1 else ''}{'' if kept else ' new'}"
                ratios.append(f"{label} {ratio:.2f}")
    finally:
        peer.stop()
        ours.stop()
    return ratios


def run_composed() -> None:
    """The product as shipped, through its published port, with the load in the middle of the table."""
    composed = Composed()
    composed.stop()
    try:
        composed.start()
        for name, number in (("concurrencylocal", 20), ("concurrencyincoming", 200), ("concurrencyperip", 200)):
            composed.control(name, f"{number}\n")
        composed.restart("queue")
        composed.useradd("joni", "jonipass")
        target = Target(composed.address, composed.port, composed.maildir("joni"), composed.processes, True)
        runs = [measure(target, MESSAGES[10], 10, True) for _ in range(ROUNDS)]
        print(
            f"{load(10, True)} {rate(runs):9.0f}   composed           {cpu_ms(runs):5.2f}         {by_role(runs)}",
            flush=True,
        )
    finally:
        composed.stop()


if __name__ == "__main__":
    sys.exit(main())
