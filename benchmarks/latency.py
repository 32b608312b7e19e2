"""Latency when there is little to do: one message after the other, beside a Postfix, on this machine in one run.

So many messages a second (LATENCY_RATE, 10) of 3 kB for LATENCY_SECONDS (20), each in a connection of its own, to one
mailbox: how long from the connection to the file in the Maildir, and its steps. Both take turns. How both are set up:
as in benchmarks.local_delivery. Needs uid 0 and Debian's postfix package.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lists import BODY, expect
from benchmarks.local_delivery import CONTROL, PASSWORD, by_role
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.load import Run, Target, cpu_seconds, empty
from benchmarks.support.peer_postfix import POSTFIX, Postfix
from benchmarks.support.processes import tree
from tests.support.ports import free_port

RATE = float(os.environ.get("LATENCY_RATE", "10"))
SECONDS = float(os.environ.get("LATENCY_SECONDS", "20"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ARRIVES_SECONDS = 30.0
LOOK_SECONDS = 0.0002
NAME = "joni"


@dataclass(frozen=True, slots=True)
class Way:
    """One message's way, in seconds: to the banner, from the dot to 250, from 250 to the file, all."""

    connect: float
    accept: float
    deliver: float
    whole: float


def send(target: Target, files: Path) -> Way:
    """One message, until its file is there. Raises ValueError, TimeoutError."""
    before, began = len(os.listdir(files)), time.monotonic()
    with socket.create_connection((target.address, target.port), ARRIVES_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rb") as file:
            expect(file, b"220")
            connected = time.monotonic()
            for command, code in (
                (b"HELO client.xeris.com", b"250"),
                (b"MAIL FROM:<ari@xeris.com>", b"250"),
                (b"RCPT TO:<%s@xeris.com>" % NAME.encode(), b"250"),
                (b"DATA", b"354"),
            ):
                client.sendall(command + b"\r\n")
                expect(file, code)
            dot = time.monotonic()
            client.sendall(BODY)
            expect(file, b"250")
            accepted = time.monotonic()
            while len(os.listdir(files)) == before:
                if time.monotonic() - accepted > ARRIVES_SECONDS:
                    raise TimeoutError(f"nothing came into {files}")
                time.sleep(LOOK_SECONDS)
            there = time.monotonic()
            client.sendall(b"QUIT\r\n")
            expect(file, b"221")
    return Way(connected - began, accepted - dot, there - accepted, there - began)


def measure(target: Target) -> tuple[list[Way], Run]:
    """A message each so often; the CPU of all processes for each."""
    empty(target.maildir(NAME))
    files = target.maildir(NAME) / "new"
    before, began = cpu_seconds(target), time.monotonic()
    ways = []
    for number in range(int(RATE * SECONDS)):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        ways.append(send(target, files))
    cpu = {name: (now - before.get(name, 0.0)) * 1000 / len(ways) for name, now in cpu_seconds(target).items()}
    return ways, Run(len(ways) / (time.monotonic() - began), {name: ms for name, ms in cpu.items() if ms > 0.001})


def row(name: str, turns: list[tuple[list[Way], Run]]) -> float:
    """A row of the table; the median of the whole way, in seconds."""
    ways, runs = [way for some, _ in turns for way in some], [run for _, run in turns]
    parts = zip(*[(way.connect, way.accept, way.deliver) for way in ways], strict=True)
    steps = [statistics.median(part) * 1000 for part in parts]
    whole = sorted(way.whole for way in ways)
    median, late = statistics.median(whole), whole[int(len(whole) * 0.99)]
    cpu = statistics.median(run.cpu_total_ms for run in runs)
    shown = " ".join(f"{ms:9.2f}" for ms in (*steps, median * 1000, late * 1000, cpu))
    print(f"{name:8s} {shown}   {by_role(runs)}", flush=True)
    return median


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("latency: needs uid 0 (per-user delivery) and Debian's package postfix")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ours, peer = Deployment(base / "ours"), Postfix(base / "postfix", free_port(), (NAME,))
        try:
            for control, number in CONTROL.items():
                ours.control(control, f"{number}\n")
            ours.start()
            ours.useradd(NAME, PASSWORD)
            peer.start()
            mine = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
            theirs = Target("127.0.0.1", peer.port, peer.maildir, lambda: tree(peer.master_pid()), False)
            turns = [(measure(mine), measure(theirs)) for _ in range(ROUNDS)]
        finally:
            peer.stop()
            ours.stop()
    print("ms, medians   banner  dot to 250  to file     whole       p99  CPU a message")
    ratio = row("postfix", [other for _, other in turns]) / row("ours", [own for own, _ in turns])
    print(f"latency ratio to postfix: {RATE:g} messages a second {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
