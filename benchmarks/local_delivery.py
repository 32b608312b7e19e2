"""SMTP to Maildir: this project against a Postfix that delivers to Maildirs, on this machine in one run.

Both may deliver 20 messages to a mailbox at a time (Postfix's default; concurrencylocal). Both get the same messages
from Postfix's smtp-source, take turns three times, and are timed until the last message is in the Maildir. Ours runs
per-user, with every fsync and the full log. Needs uid 0 and Debian's postfix package.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

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


def send(port: int, count: int, sessions: int, kept: bool) -> None:
    """smtp-source: `count` messages over `sessions` connections at a time, kept or new for each message."""
    command = ["smtp-source", "-l", str(MESSAGE_BYTES), "-m", str(count), "-s", str(sessions)]
    command += ["-d"] if kept else []
    command += ["-f", "ari@xeris.com", "-t", "joni@xeris.com", f"127.0.0.1:{port}"]
    subprocess.run(command, check=True, timeout=DEADLINE_SECONDS)


def wait_for(maildir: Path, count: int) -> None:
    """Return when the Maildir holds that many new messages."""
    new = maildir / "new"
    deadline = time.monotonic() + DEADLINE_SECONDS
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


def measure(root: int, by_role: bool, port: int, maildir: Path, count: int, sessions: int, kept: bool) -> Run:
    """Time one run from the first connection to the last message in the Maildir, and the CPU of all processes."""
    # Moved aside, not removed: making files where thousands were just removed is slow on ext4, for both.
    if maildir.exists():
        maildir.rename(maildir.with_name(f"before-{time.monotonic_ns()}"))
    for name in ("", "new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
        os.chown(maildir / name, maildir.parent.stat().st_uid, maildir.parent.stat().st_gid)
        os.chmod(maildir / name, 0o700)
    before = cpu_by(tree(root), by_role)
    started = time.monotonic()
    send(port, count, sessions, kept)
    wait_for(maildir, count)
    took = time.monotonic() - started
    after = cpu_by(tree(root), by_role)
    cpu = {name: (seconds - before.get(name, 0.0)) * 1000 / count for name, seconds in after.items()}
    return Run(count / took, {name: ms for name, ms in cpu.items() if ms > 0.001})


def report(sessions: int, kept: bool, ours: list[Run], theirs: list[Run]) -> float:
    """A row of the table; the ratio of the medians."""
    mine = statistics.median(run.per_second for run in ours)
    peer = statistics.median(run.per_second for run in theirs)
    mine_cpu = statistics.median(run.cpu_total_ms for run in ours)
    peer_cpu = statistics.median(run.cpu_total_ms for run in theirs)
    roles = " ".join(
        f"{name} {statistics.median(run.cpu_ms.get(name, 0.0) for run in ours):.2f}" for name in sorted(ours[0].cpu_ms)
    )
    kind = "kept" if kept else "new "
    print(
        f"{sessions:8d} {kind} {mine:9.0f} {peer:9.0f} {mine / peer:6.2f}   {mine_cpu:5.2f} {peer_cpu:5.2f}   {roles}",
        flush=True,
    )
    return mine / peer


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("local_delivery: needs uid 0 (per-user delivery) and Debian's package postfix (smtp-source)")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        return run_all(Deployment(base / "ours"), Postfix(base / "postfix", free_port()))


def run_all(ours: Deployment, peer: Postfix) -> int:
    """Both servers, all shapes of load."""
    maildir = ours.directory / "home" / "joni" / "Maildir"
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
        for sessions in SESSIONS:
            for kept in (True, False):
                mine, theirs = [], []
                for _ in range(ROUNDS):
                    count = MESSAGES.get(sessions, 2000)
                    mine.append(measure(ours.pid, True, ours.ports["SMTP_PORT"], maildir, count, sessions, kept))
                    theirs.append(measure(peer.master_pid(), False, peer.port, peer.maildir, count, sessions, kept))
                ratio = report(sessions, kept, mine, theirs)
                label = f"{sessions} session{'s' if sessions > 1 else ''}{'' if kept else ' new'}"
                ratios.append(f"{label} {ratio:.2f}")
    finally:
        peer.stop()
        ours.stop()
    print("local_delivery ratio to postfix: " + ", ".join(ratios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
