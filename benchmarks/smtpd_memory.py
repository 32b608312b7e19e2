"""Memory of smtpd and delivery-local, many large messages: `python -m benchmarks.smtpd_memory [sessions] [megabytes]`.

In a whole deployment, per-user, with every fsync. All sessions are in DATA before any sends its text, and all have sent
it before any sends the final dot. Each must be answered 250, and each message must lie whole in the Maildir. The peaks
of the resident sets are the kernel's own, from the first connection to the last message in the Maildir; 1 MB is
1,000,000 bytes. Exit code 1 where smtpd's peak reaches the limit. Needs uid 0.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.deployment import Deployment
from benchmarks.support.load import wait_for
from benchmarks.support.processes import peak_rss_bytes, reset_peak_rss
from qmail.role.loop import run
from services.admin.bus.streams import read_definitions

LIMIT_MB = 200
MB = 1_000_000
# The part of the stream of large bodies that the messages fill: none is refused for want of room.
FILLED = 0.5
DEADLINE_SECONDS = 600

ROLES = ("smtpd", "delivery.local", "queue", "nats-server")

HEAD = b"Subject: message %06d\r\n\r\n"
LINE = b"x" * 76 + b"\r\n"
BLOCK_LINES = 840
# Our head, behind the lines that the deployment puts in front of it.
STORED_HEAD = re.compile(rb"^Subject: message (\d{6})\n\n", re.MULTILINE)
STORED_FRONT_BYTES = 4096


def lines_of(message_bytes: int) -> int:
    """How many lines a message has that is at least so large when it is stored."""
    return -(-message_bytes // (len(LINE) - 1))


def stored_bytes(lines: int) -> int:
    """The size of a message without the lines put in front of it: each CR LF is stored as LF."""
    return len(HEAD % 0) - 2 + lines * (len(LINE) - 1)


async def expect(reader: asyncio.StreamReader, code: bytes) -> None:
    """Read one line. Raises RuntimeError for another answer."""
    answer = await reader.readline()
    if not answer.startswith(code):
        raise RuntimeError(f"expected {code.decode()}, got {answer!r}")


async def send(port: int, number: int, lines: int, together: asyncio.Barrier) -> None:
    """One session with one message, which begins and ends its text when all the others do."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await expect(reader, b"220")
    dialogue = ((b"HELO x", b"250"), (b"MAIL FROM:<a@b>", b"250"), (b"RCPT TO:<joni@xeris.com>", b"250"))
    for command, code in (*dialogue, (b"DATA", b"354")):
        writer.write(command + b"\r\n")
        await expect(reader, code)
    await together.wait()
    await send_text(writer, number, lines)
    await together.wait()
    writer.write(b".\r\n")
    await expect(reader, b"250 ok ")
    writer.close()


async def send_text(writer: asyncio.StreamWriter, number: int, lines: int) -> None:
    """A message without its final dot, in blocks."""
    block = LINE * BLOCK_LINES
    writer.write(HEAD % number)
    for _ in range(lines // BLOCK_LINES):
        writer.write(block)
        await writer.drain()
    writer.write(LINE * (lines % BLOCK_LINES))
    await writer.drain()


async def send_all(port: int, sessions: int, lines: int) -> None:
    """All sessions at once. Raises TimeoutError."""
    together = asyncio.Barrier(sessions)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*(send(port, number, lines, together) for number in range(sessions)))


def check_arrived(maildir: Path, sessions: int, message_bytes: int) -> None:
    """Each message once, and whole. Raises RuntimeError."""
    arrived = sorted(size_of(path) for path in (maildir / "new").iterdir())
    if arrived != [(number, message_bytes) for number in range(sessions)]:
        raise RuntimeError(f"expected {sessions} messages of {message_bytes} bytes, found (number, bytes) {arrived}")


def size_of(path: Path) -> tuple[int, int]:
    """A stored message's number, and its size without the lines put in front of it. Raises RuntimeError."""
    with path.open("rb") as file:
        head = STORED_HEAD.search(file.read(STORED_FRONT_BYTES))
    if head is None:
        raise RuntimeError(f"{path} is none of ours")
    return int(head[1]), path.stat().st_size - head.start()


def configure(ours: Deployment, sessions: int, message_bytes: int) -> None:
    """Let all messages in at once."""
    share = read_definitions()["stream"]["BODY"]["share"]
    ours.control("databytes", f"{message_bytes}\n")
    ours.control("concurrencyincoming", f"{sessions}\n")
    ours.control("concurrencyperip", f"{sessions}\n")
    ours.control("queuebytes", f"{int(sessions * message_bytes / FILLED / share)}\n")


def measure(ours: Deployment, sessions: int, lines: int) -> dict[str, tuple[int, int]]:
    """Send all messages and wait for their delivery: bytes resident of each role, idle and at its peak."""
    maildir = ours.directory / "home" / "joni" / "Maildir"
    pids = {role: ours.main_pid(role) for role in ROLES}
    for pid in pids.values():
        reset_peak_rss(pid)
    idle = {role: peak_rss_bytes(pid) for role, pid in pids.items()}
    started = time.monotonic()
    run(send_all(ours.ports["SMTP_PORT"], sessions, lines))
    answered = time.monotonic()
    wait_for(maildir, sessions, DEADLINE_SECONDS)
    delivered = time.monotonic()
    check_arrived(maildir, sessions, stored_bytes(lines))
    print(f"answered after {answered - started:.0f} s, in the Maildir after {delivered - started:.0f} s")
    return {role: (idle[role], peak_rss_bytes(pid)) for role, pid in pids.items()}


def report(resident: dict[str, tuple[int, int]]) -> int:
    """Print the table; the exit code."""
    print("resident set, MB    idle    peak")
    for role, (idle, peak) in resident.items():
        print(f"{role:15} {idle / MB:8.0f} {peak / MB:7.0f}")
    peak_mb = resident["smtpd"][1] / MB
    print(f"smtpd_memory: smtpd {peak_mb:.0f} MB of at most {LIMIT_MB}")
    return 0 if peak_mb < LIMIT_MB else 1


def main() -> int:
    """Run the benchmark."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    if os.getuid() != 0:
        sys.exit("smtpd_memory: needs uid 0 (per-user delivery)")
    lines = lines_of(megabytes * MB)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        ours = Deployment(base / "ours")
        configure(ours, sessions, stored_bytes(lines))
        try:
            ours.start()
            ours.useradd("joni", "jonipass")
            print(f"{sessions} sessions with a message of {megabytes} MB each, at once:", flush=True)
            resident = measure(ours, sessions, lines)
        finally:
            ours.stop()
    return report(resident)


if __name__ == "__main__":
    sys.exit(main())
