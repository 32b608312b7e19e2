"""SMTP to other hosts: this project against Postfix, on this machine in one run.

Both get the same messages from Postfix's smtp-source and send them to one smtp-sink, by literal addresses and without
the DNS; with 100 destinations each is an address of its own on loopback. Both send 20 messages at a time (Postfix: of
smtp(8); concurrencyremote), take turns five times, and are timed until the sink has taken the last message. Postfix has
its own defaults but for that and the benchmark's need (peer_postfix: no limit for one client, in_flow_delay = 0): so it
syncs each message, and keeps connections on demand (smtp_connection_cache_on_demand). Ours runs with every fsync and
the full log. Needs uid 0 and Debian's postfix package.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.local_delivery import by_role, cpu_ms, rate
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.load import DEADLINE_SECONDS, Load, Run, Target, source, timed
from benchmarks.support.peer_postfix import POSTFIX, Postfix
from benchmarks.support.processes import tree
from benchmarks.support.sink import Sink
from tests.support.ports import free_port

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
AT_A_TIME = 20
SENDERS = 10
# As first start makes it, but that no neighbour is refused for what he sends.
CONTROL = {"concurrencyincoming": 200, "concurrencyperip": 200, "concurrencyremote": AT_A_TIME}


@dataclass(frozen=True, slots=True)
class Shape:
    """So many messages of a size, shared among the destinations."""

    name: str
    destinations: int
    messages: int
    size_bytes: int


SHAPES = (
    Shape("1 destination", 1, 2000, 3000),
    Shape("100 destinations", 100, 4000, 3000),
    Shape("1 destination 100 kB", 1, 500, 100_000),
)


def host(number: int) -> str:
    """A destination's domain."""
    return f"d{number}.test"


def routes(port: int) -> list[tuple[str, str]]:
    """Each destination and the address and port that take its mail."""
    return [(host(number), f"[127.0.1.{number + 1}]:{port}") for number in range(100)]


def inject(target: Target, shape: Shape) -> None:
    """Give the server the messages over ten connections. Raises CalledProcessError, TimeoutExpired."""
    parts = max(shape.destinations, SENDERS)
    load = Load(shape.messages // parts, 1, True, ())
    commands = [
        source(target, load, f"joe@{host(part % shape.destinations)}", shape.size_bytes) for part in range(parts)
    ]
    with ThreadPoolExecutor(SENDERS) as pool:
        for _ in pool.map(lambda command: subprocess.run(command, check=True, timeout=DEADLINE_SECONDS), commands):
            pass


def measure(target: Target, sink: Sink, shape: Shape) -> tuple[Run, int]:
    """One round, and how many connections it took."""
    sessions, messages = sink.counted()

    def deliver() -> None:
        inject(target, shape)
        sink.wait_for(messages + shape.messages)

    run = timed(target, shape.messages, deliver)
    return run, sink.counted()[0] - sessions


def run_all(ours: Deployment, peer: Postfix, sink: Sink) -> list[str]:
    """Both servers, all shapes; the ratios, each with its shape."""
    ratios = []
    print("                               messages/s                   CPU ms a message  connections")
    print("                         ours (min..max)   postfix   ratio     ours postfix     ours postfix  ours by role")
    try:
        sink.start()
        for name, number in CONTROL.items():
            ours.control(name, f"{number}\n")
        ours.control("smtproutes", "".join(f"{domain}:{relay}\n" for domain, relay in routes(sink.port)))
        ours.start()
        peer.start()
        mine = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
        theirs = Target("127.0.0.1", peer.port, peer.maildir, lambda: tree(peer.master_pid()), False)
        for shape in SHAPES:
            turns = [(measure(mine, sink, shape), measure(theirs, sink, shape)) for _ in range(ROUNDS)]
            own, other = ([turn[side] for turn in turns] for side in (0, 1))
            ratios.append(f"{shape.name} {report(shape, own, other):.2f}")
    finally:
        peer.stop()
        ours.stop()
        sink.stop()
    return ratios


def report(shape: Shape, ours: list[tuple[Run, int]], theirs: list[tuple[Run, int]]) -> float:
    """A row of the table; the ratio of the medians."""
    mine, peer = ([run for run, _ in side] for side in (ours, theirs))
    rates = f"{rate(mine):5.0f} {span(mine)} {rate(peer):5.0f} {span(peer)} {rate(mine) / rate(peer):6.2f}"
    sessions = [statistics.median(count for _, count in side) for side in (ours, theirs)]
    rest = f"{cpu_ms(mine):7.2f} {cpu_ms(peer):7.2f}  {sessions[0]:7.0f} {sessions[1]:7.0f}  {by_role(mine)}"
    print(f"{shape.name:22}{rates}  {rest}", flush=True)
    return rate(mine) / rate(peer)


def span(runs: list[Run]) -> str:
    """The slowest and the quickest round."""
    rates = [run.per_second for run in runs]
    return f"({min(rates):.0f}..{max(rates):.0f})"


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("remote_delivery: needs uid 0 and Debian's package postfix (smtp-source, smtp-sink)")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        sink = Sink(base / "sink.log", free_port())
        transports = " ".join(f"{{{domain} = smtp:{relay}}}" for domain, relay in routes(sink.port))
        peer = Postfix(
            base / "postfix",
            free_port(),
            ("ari",),
            more=f"transport_maps = inline:{{ {transports} }}\n",
            smtps=AT_A_TIME,
        )
        ratios = run_all(Deployment(base / "ours"), peer, sink)
    print("remote_delivery ratio to postfix: " + ", ".join(ratios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
