"""New mail beside a queue full of deferred mail: `python -m benchmarks.deferred [messages]`.

So many messages (1,000,000) that no host takes lie in HOLD and JOURNAL, as they would after days; each is due again
somewhere within three hours, as on the second day of qmail's schedule. Measured in a whole deployment, per-user, with
every fsync: how long the scheduler needs to know them all again, what it and the bus then take of memory, and how soon
and how fast new local mail arrives, compared with the same deployment before. Needs uid 0 and Debian's postfix package
(smtp-source).
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.queue_restart import restarted, until
from benchmarks.support.deployment import Deployment
from benchmarks.support.load import Load, Target, empty, measure, send, wait_for
from benchmarks.support.processes import peak_rss_bytes, reset_peak_rss, tree
from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import Record
from qmail.message.address import Address
from qmail.message.envelope import Envelope, Origin, Recipient, encode_envelope
from qmail.message.ids import EPOCH_2020_MS, NODES, PER_MILLISECOND
from qmail.queue.deliveries import RecordPosition
from services.queue.decide.message import Channel, QueuedMessage, encode_state
from tests.support.ports import free_port

CONTROL = {"concurrencyincoming": 200, "concurrencyperip": 200, "queuebytes": 100_000_000_000}
# Nobody listens there: each attempt is deferred at once.
NOWHERE = ":127.0.0.1:9\n"
SPREAD_SECONDS = 3 * 3600
AGE_SECONDS = 86400
BODY = b"Subject: tertunda\n\n" + b"x" * 281
# Records on their way at a time while the streams are filled.
WINDOW = 500
REBUILD_SECONDS = 600
NEW_MESSAGES = 3000
PROBES = 20
RECIPIENT = Address(b"somebody@elsewhere.example")


def deferred(number: int, now: int, count: int) -> QueuedMessage:
    """A message that one remote recipient has not taken for a day."""
    time_ms = (now - AGE_SECONDS) * 1000 + number // 1000
    envelope = Envelope(
        id=(time_ms - EPOCH_2020_MS) * NODES * PER_MILLISECOND + number % 1000,
        time_ms=time_ms,
        size_bytes=len(BODY),
        chunk_count=0,
        origin=Origin(uid=0, role="smtpd", remote_ip="192.0.2.7", remote_host="client.example", helo=b"client.example"),
        sender=Address(b"ari@xeris.com"),
        recipients=(Recipient(RECIPIENT),),
        prefix=b"Received: (qmail 1 invoked from network); 24 Nov 2026 12:00:00 -0000\n",
    )
    due = now + 60 + number * SPREAD_SECONDS // count
    last = b"Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
    return QueuedMessage(
        envelope,
        RecordPosition(1, envelope.id),
        held=True,
        channels={"remote": Channel({0}, attempts=15, due=due)},
        addresses={0: RECIPIENT},
        last={0: last},
    )


def records(count: int) -> Iterator[Record]:
    """HOLD's and JOURNAL's records of so many messages."""
    now = int(time.time())
    for number in range(count):
        message = deferred(number, now, count)
        header = base64.b64encode(encode_envelope(message.envelope)).decode("ascii")
        yield Record(subjects.hold(message.id), BODY, {subjects.ENVELOPE_HEADER: header})
        yield Record(subjects.state(message.id), encode_state(message))


async def fill(url: str, count: int) -> None:
    """Store the records."""
    bus = JetStreamBus("_INBOX_fill")
    await bus.connect(url, "", "", "fill")
    rest = records(count)
    while group := list(islice(rest, WINDOW)):
        await asyncio.gather(*(bus.store(record) for record in group))
    await bus.close()


def fill_stopped(ours: Deployment, count: int) -> None:
    """Fill the streams of a deployment that is not running, by a server on its store that syncs now and then."""
    port, config = free_port(), ours.directory / "fill.conf"
    store = ours.directory / "bus"
    config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{store}", max_file_store: 8TB }}\n')
    binary = str(Path(sys.executable).parent / "nats-server")
    with open(ours.directory / "fill.log", "wb") as log:
        server = subprocess.Popen([binary, "-c", str(config)], stdout=log, stderr=log)
    try:
        asyncio.run(fill(f"nats://127.0.0.1:{port}", count))
    finally:
        server.terminate()
        server.wait(60)
    owner = store.stat()
    for path in store.rglob("*"):
        os.chown(path, owner.st_uid, owner.st_gid)


def arrival_seconds(ours: Deployment, target: Target) -> float:
    """Until one new message lies in its Maildir."""
    new = ours.maildir("joni") / "new"
    before = len(os.listdir(new))
    began = time.monotonic()
    send(target, Load(1, 1, True, ("joni",)))
    wait_for(ours.maildir("joni"), before + 1)
    return time.monotonic() - began


def new_mail(ours: Deployment, target: Target, when: str) -> float:
    """Print how new mail fares; messages a second."""
    empty(ours.maildir("joni"))
    soon = sorted(arrival_seconds(ours, target) for _ in range(PROBES))
    run = measure(target, Load(NEW_MESSAGES, 10, True, ("joni",)))
    figures = f"{run.per_second:.0f} a second, {run.cpu_total_ms:.2f} ms of CPU each"
    print(f"new mail {when}: there after {median(soon) * 1000:.0f} ms (longest {soon[-1] * 1000:.0f}), {figures}")
    return run.per_second


def memory(ours: Deployment) -> str:
    """The peaks of those who know of every message."""
    peaks = {role: peak_rss_bytes(ours.main_pid(role)) for role in ("queue", "nats-server")}
    return ", ".join(f"{role} {peak / 1e6:.0f} MB" for role, peak in peaks.items())


def benchmark(ours: Deployment, count: int) -> None:
    """Measure empty, fill, start, measure again."""
    target = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
    ours.start()
    ours.useradd("joni", "jonipass")
    alone = new_mail(ours, target, "with an empty queue")
    until(ours, 0)
    ours.stop()
    began = time.monotonic()
    fill_stopped(ours, count)
    print(f"{count} deferred messages made in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    ours.start()
    print(f"roles answer after {time.monotonic() - began:.1f} s")
    print(f"while they are read: new mail there after {arrival_seconds(ours, target) * 1000:.0f} ms")
    until(ours, count, REBUILD_SECONDS)
    print(f"all known again after {time.monotonic() - began:.1f} s; at most {memory(ours)}")
    for role in ("queue", "nats-server"):
        reset_peak_rss(ours.main_pid(role))
    full = new_mail(ours, target, "beside them")
    print(f"meanwhile at most {memory(ours)}")
    took = restarted(ours, signal.SIGTERM, count, REBUILD_SECONDS)
    print(f"all known again {took:.1f} s after a restart of the queue; at most {memory(ours)}")
    print(f"deferred: new mail beside {count} deferred at {full / alone:.2f} of the rate without")


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0:
        sys.exit("deferred: needs uid 0 (per-user delivery)")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        ours = Deployment(base / "ours")
        for control, number in CONTROL.items():
            ours.control(control, f"{number}\n")
        ours.control("smtproutes", NOWHERE)
        try:
            benchmark(ours, count)
        finally:
            ours.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
