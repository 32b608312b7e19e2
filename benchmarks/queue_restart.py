"""A restart of the scheduler with a full queue: `python -m benchmarks.queue_restart [messages]`.

In a whole deployment, per-user, with every fsync: so many messages (20,000) are accepted while nothing is delivered
(concurrencylocal is 0). Then the queue is ended in order, and once more killed, and each time it is measured when the
next scheduler knows them all again: a killed one must be missed on the bus for 3 s, and then for 5 s it is listened to
what still runs. At the end all must be in the Maildir. Needs uid 0 and Debian's postfix package (smtp-source).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.support.deployment import Deployment
from benchmarks.support.load import Load, Target, send, wait_for
from benchmarks.support.processes import peak_rss_bytes, tree

DEADLINE_SECONDS = 120
LOOK_SECONDS = 0.05
CONTROL = {"concurrencyincoming": 200, "concurrencyperip": 200, "concurrencylocal": 0}


def status_of(ours: Deployment) -> dict[str, int]:
    """What the queue says of itself by HTTP; {} while nobody answers."""
    token = (ours.directory / "credentials" / "http.token").read_text().strip()
    url = f"http://127.0.0.1:{ours.ports['HTTP_PORT']}/status"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
            return found
    except OSError:
        return {}


def until(ours: Deployment, messages: int, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Return when the scheduler knows so many messages and has nothing left to read. Raises TimeoutError."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        status = status_of(ours)
        if status.get("ready") and status["messages"] == messages and status["unread"] == 0:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {messages} messages in the queue, found {status}")
        time.sleep(LOOK_SECONDS)


def restarted(
    ours: Deployment, number: signal.Signals, messages: int, deadline_seconds: float = DEADLINE_SECONDS
) -> float:
    """Seconds from the signal until the next scheduler knows the messages."""
    queue = ours.main_pid("queue")
    began = time.monotonic()
    os.kill(queue, number)
    while Path(f"/proc/{queue}").exists():
        time.sleep(LOOK_SECONDS)
    until(ours, messages, deadline_seconds)
    return time.monotonic() - began


def measure(ours: Deployment, messages: int) -> None:
    """Fill, restart twice, drain, and print the table."""
    target = Target("127.0.0.1", ours.ports["SMTP_PORT"], ours.maildir, lambda: tree(ours.pid), True)
    began = time.monotonic()
    send(target, Load(messages, 40, True, ("joni",)))
    until(ours, messages)
    print(f"{messages} messages accepted in {time.monotonic() - began:.1f} s")
    ordered, killed = (restarted(ours, number, messages) for number in (signal.SIGTERM, signal.SIGKILL))
    print(f"known again after an orderly restart {ordered:.1f} s, after a kill {killed:.1f} s")
    print(f"resident set of the queue {peak_rss_bytes(ours.main_pid('queue')) / 1e6:.0f} MB")
    began = time.monotonic()
    ours.control("concurrencylocal", "20\n")
    os.kill(ours.main_pid("queue"), signal.SIGTERM)
    wait_for(ours.maildir("joni"), messages, DEADLINE_SECONDS)
    until(ours, 0)
    arrived = len(os.listdir(ours.maildir("joni") / "new"))
    print(f"all delivered {time.monotonic() - began:.1f} s later, {arrived} in the Maildir")
    if arrived != messages:
        raise RuntimeError(f"expected {messages} in the Maildir")
    print(f"queue_restart: {messages} messages known again in {ordered:.1f} s")


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0:
        sys.exit("queue_restart: needs uid 0 (per-user delivery)")
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        ours = Deployment(base / "ours")
        for control, number in CONTROL.items():
            ours.control(control, f"{number}\n")
        try:
            ours.start()
            ours.useradd("joni", "jonipass")
            measure(ours, messages)
        finally:
            ours.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
