"""One message to many local recipients: this project against a Postfix, on this machine in one run.

A client with PIPELINING hands in one message of 3 kB to so many recipients (LISTS, 100 1000 4000), each an address of
its own of ten accounts; timed until the last copy is in its Maildir. Both take turns. How it is set up, and how both
are told to deliver: as in benchmarks.local_delivery, whose process counts these are. Needs uid 0 and Debian's postfix
package.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from benchmarks.local_delivery import CONTROL, PASSWORD, ROUNDS, TEN, by_role
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.load import Run, Target, cpu_seconds, empty, wait_for
from benchmarks.support.peer_postfix import POSTFIX, Postfix
from benchmarks.support.processes import tree
from tests.support.ports import free_port

RECIPIENTS = tuple(int(n) for n in os.environ.get("LISTS", "100 1000 4000").split())
BODY = b"From: ari@xeris.com\r\nSubject: a list\r\n\r\n" + (b"x" * 58 + b"\r\n") * 50 + b".\r\n"
ANSWER_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: as of a `Run`, a recipient in a message's place; and the seconds until it was accepted."""

    run: Run
    accepted_seconds: float


def addresses(count: int) -> list[str]:
    """Of the ten accounts in turn: `user3-7@xeris.com`."""
    return [f"{TEN[number % len(TEN)]}-{number // len(TEN)}@xeris.com" for number in range(count)]


def send(target: Target, recipients: list[str]) -> None:
    """Hand in one message, pipelined as an MTA does it (RFC 2920 3.1). Raises ValueError for any refusal."""
    address = (target.address, target.port)
    with socket.create_connection(address, ANSWER_SECONDS) as client, client.makefile("rb") as file:
        expect(file, b"220")
        client.sendall(b"EHLO client.xeris.com\r\n")
        while expect(file, b"250")[3:4] == b"-":
            pass
        rcpts = b"".join([b"RCPT TO:<%s>\r\n" % each.encode() for each in recipients])
        client.sendall(b"MAIL FROM:<ari@xeris.com>\r\n" + rcpts + b"DATA\r\n")
        for _ in range(1 + len(recipients)):
            expect(file, b"250")
        expect(file, b"354")
        client.sendall(BODY)
        expect(file, b"250")
        client.sendall(b"QUIT\r\n")
        expect(file, b"221")


def expect(file: BufferedReader, code: bytes) -> bytes:
    """One line of a reply. Raises ValueError where it is another one."""
    line = file.readline()
    if not line.startswith(code):
        raise ValueError(f"{line!r}; expected {code!r}")
    return line


def measure(target: Target, count: int) -> Sent:
    """Time one message from the connection to the last copy, and the CPU of all processes."""
    for name in TEN:
        empty(target.maildir(name))
    before, started = cpu_seconds(target), time.monotonic()
    send(target, addresses(count))
    accepted = time.monotonic() - started
    for number, name in enumerate(TEN):
        wait_for(target.maildir(name), len(range(number, count, len(TEN))))
    took = time.monotonic() - started
    cpu = {name: (now - before.get(name, 0.0)) * 1000 / count for name, now in cpu_seconds(target).items()}
    return Sent(Run(count / took, {name: ms for name, ms in cpu.items() if ms > 0.001}), accepted)


def report(count: int, ours: list[Sent], theirs: list[Sent]) -> float:
    """A row of the table; the ratio of the medians."""
    mine, peer = (statistics.median(each.run.per_second for each in sent) for sent in (ours, theirs))
    cpu = [statistics.median(each.run.cpu_total_ms for each in sent) for sent in (ours, theirs)]
    accepted = [statistics.median(each.accepted_seconds for each in sent) * 1000 / count for sent in (ours, theirs)]
    row = (
        f"{count:10d} {1000 / mine:8.3f} {1000 / peer:9.3f} {mine / peer:6.2f}   {accepted[0]:6.3f} {accepted[1]:8.3f}"
    )
    print(f"{row}   {cpu[0]:5.2f} {cpu[1]:8.2f}   {by_role([each.run for each in ours])}", flush=True)
    return mine / peer


def run_all(ours: Deployment, peer: Postfix) -> list[str]:
    """Both servers, all sizes; the ratios."""
    ratios: list[str] = []
    print("                ms a recipient         of them, accepting   CPU ms a recipient")
    print("recipients     ours   postfix  ratio     ours  postfix    ours  postfix   ours by role")
    try:
        for name, number in CONTROL.items():
            ours.control(name, f"{number}\n")
        ours.control("maxrecipients", f"{max(RECIPIENTS)}\n")
        ours.start()
        for name in TEN:
            ours.useradd(name, PASSWORD)
            extensions = ours.directory / "home" / name / ".qmail-default"
            extensions.write_text("./Maildir/\n")
            owner = extensions.parent.stat()
            os.chown(extensions, owner.st_uid, owner.st_gid)
        peer.start()
        mine = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
        theirs = Target("127.0.0.1", peer.port, peer.maildir, lambda: tree(peer.master_pid()), False)
        for count in RECIPIENTS:
            turns = [(measure(mine, count), measure(theirs, count)) for _ in range(ROUNDS)]
            own, others = [own for own, _ in turns], [other for _, other in turns]
            ratios.append(f"{count} recipients {report(count, own, others):.2f}")
    finally:
        peer.stop()
        ours.stop()
    return ratios


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(POSTFIX).exists():
        sys.exit("lists: needs uid 0 (per-user delivery) and Debian's package postfix")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ratios = run_all(Deployment(base / "ours"), Postfix(base / "postfix", free_port(), TEN))
    print("lists ratio to postfix: " + ", ".join(ratios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
