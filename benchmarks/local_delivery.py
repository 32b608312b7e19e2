"""SMTP to Maildir: this project against a Postfix that delivers to Maildirs, on this machine in one run.

Both may deliver 20 messages to a mailbox at a time (Postfix's default; concurrencylocal). Both get the same messages
from Postfix's smtp-source, take turns three times, and are timed until the last message is in its Maildir. Ours runs
per-user, with every fsync and the full log. All goes to one mailbox, in the last rows to ten; one line more is the
composed product, where an engine is and BENCH_COMPOSED is not 0. Needs uid 0 and Debian's postfix package.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.support.composed import Composed, engine_answers
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.load import Load, Run, Target, measure
from benchmarks.support.peer_postfix import POSTFIX, Postfix
from benchmarks.support.processes import tree
from tests.support.ports import free_port

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SESSIONS = tuple(int(n) for n in os.environ.get("BENCH_SESSIONS", "1 10 40").split())
MESSAGES = {1: 600, 10: 3000, 40: 3000}
ONE = ("joni",)
TEN = tuple(f"user{number}" for number in range(10))
CONTROL = {"concurrencylocal": 20, "concurrencyincoming": 200, "concurrencyperip": 200}
PASSWORD = "jonipass"


def loads() -> dict[str, Load]:
    """What is measured, by the name that it has in the last line."""
    found = {}
    for sessions in SESSIONS:
        for kept in (True, False):
            label = f"{sessions} session{'s' if sessions > 1 else ''}{'' if kept else ' new'}"
            found[label] = Load(MESSAGES.get(sessions, 2000), sessions, kept, ONE)
    found["10 mailboxes"] = Load(3000, 10, True, TEN)
    return found


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("local_delivery: needs uid 0 (per-user delivery) and Debian's package postfix (smtp-source)")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ratios = run_all(Deployment(base / "ours"), Postfix(base / "postfix", free_port(), ONE + TEN))
    if os.environ.get("BENCH_COMPOSED") != "0" and engine_answers():
        run_composed()
    print("local_delivery ratio to postfix: " + ", ".join(ratios))
    return 0


def run_all(ours: Deployment, peer: Postfix) -> list[str]:
    """Both servers, all shapes of load; the ratios, each with its load."""
    ratios: list[str] = []
    print("                           messages/s                  CPU ms a message")
    print("mailboxes sessions conn      ours   postfix  ratio    ours postfix  ours by role")
    try:
        # Before the start: the scheduler reads its concurrency then.
        for name, number in CONTROL.items():
            ours.control(name, f"{number}\n")
        ours.start()
        for name in ONE + TEN:
            ours.useradd(name, PASSWORD)
        peer.start()
        mine = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
        theirs = Target("127.0.0.1", peer.port, peer.maildir, lambda: tree(peer.master_pid()), False)
        for label, load in loads().items():
            turns = [(measure(mine, load), measure(theirs, load)) for _ in range(ROUNDS)]
            ratios.append(f"{label} {report(load, [own for own, _ in turns], [other for _, other in turns]):.2f}")
    finally:
        peer.stop()
        ours.stop()
    return ratios


def run_composed() -> None:
    """The product as shipped, through its published port, with the load in the middle of the table."""
    composed, load = Composed(), Load(3000, 10, True, ONE)
    composed.stop()
    try:
        composed.start()
        for name, number in CONTROL.items():
            composed.control(name, f"{number}\n")
        composed.restart("queue")
        composed.useradd("joni", PASSWORD)
        target = Target(composed.address, composed.port, composed.maildir, composed.processes, True)
        runs = [measure(target, load) for _ in range(ROUNDS)]
        print(f"{columns(load)} {rate(runs):9.0f}  composed           {cpu_ms(runs):5.2f}           {by_role(runs)}")
    finally:
        composed.stop()


def report(load: Load, ours: list[Run], theirs: list[Run]) -> float:
    """A row of the table; the ratio of the medians."""
    mine, peer = rate(ours), rate(theirs)
    cpu = f"{cpu_ms(ours):5.2f} {cpu_ms(theirs):5.2f}"
    print(f"{columns(load)} {mine:9.0f} {peer:9.0f} {mine / peer:6.2f}   {cpu}   {by_role(ours)}", flush=True)
    return mine / peer


def columns(load: Load) -> str:
    """The first three columns."""
    return f"{len(load.mailboxes):9d} {load.sessions:8d} {'kept' if load.kept else 'new '}"


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


if __name__ == "__main__":
    sys.exit(main())
