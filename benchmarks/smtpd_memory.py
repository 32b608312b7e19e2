"""Memory of smtpd with many large messages at once: `python -m benchmarks.smtpd_memory [sessions] [megabytes]`.

The door runs alone in a process, with the project's own Submitter on a bus that takes a moment for each record (as a
disk does) and forgets it. All sessions send at the same time; the peak of the resident set is read from the kernel.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.smtpd_dialogue import QuietLog
from qmail.bus.memory import MemoryBus
from qmail.bus.ports import Record
from qmail.ids import IdSource
from qmail.put import Submitter
from qmail.server import run
from services.smtpd.admission import Admission
from services.smtpd.desk import Desk
from services.smtpd.door import Door
from services.smtpd.server import SmtpdConnection
from services.smtpd.settings import read_settings

STORE_SECONDS = 0.005
LIMIT_MB = 200


class SlowForgetfulBus(MemoryBus):
    """Counts what it is given and keeps nothing."""

    stored_bytes = 0

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        await asyncio.sleep(STORE_SECONDS)
        self.stored_bytes += len(record.payload)
        return 1

    async def store_batch(self, records: Sequence[Record]) -> None:
        for record in records:
            await self.store(record)


def serve(directory: str, ready: int) -> None:
    async def main() -> None:
        settings = read_settings({"QMAIL_DIR": directory, "SMTP_LISTEN": "127.0.0.1:0", "SUBMISSION_LISTEN": ""})
        bus, ids, admission = SlowForgetfulBus(), IdSource(), Admission(1)
        ids.grant(1, 0, 2**62)
        admission.claim_row()
        door = Door(settings, Desk(bus, Submitter(bus, ids), 901), QuietLog("qmail-smtpd"), admission)
        await door.start(SmtpdConnection)
        os.write(ready, b"%d\n" % door.ports[0])
        await asyncio.Event().wait()

    run(main())


async def send(port: int, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for line in (b"HELO x", b"MAIL FROM:<a@b>", b"RCPT TO:<joni@xeris.com>", b"DATA"):
        writer.write(line + b"\r\n")
    for code in (b"220", b"250", b"250", b"250", b"354"):
        answer = await reader.readline()
        assert answer.startswith(code), answer
    block = (b"x" * 76 + b"\r\n") * 840
    for _ in range(size // len(block)):
        writer.write(block)
        await writer.drain()
    writer.write(b".\r\n")
    answer = await reader.readline()
    assert answer.startswith(b"250 ok "), answer
    writer.close()


def peak_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM: this kernel does not tell")


async def send_all(port: int, sessions: int, size: int) -> None:
    await asyncio.gather(*(send(port, size) for _ in range(sessions)))


def main() -> int:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    with tempfile.TemporaryDirectory() as directory:
        control = Path(directory) / "control"
        control.mkdir()
        for name in ("me", "rcpthosts", "locals"):
            (control / name).write_text("xeris.com\n")
        (control / "concurrencyincoming").write_text(f"{sessions}\n")
        (control / "concurrencyperip").write_text(f"{sessions}\n")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            serve(directory, writing)
            os._exit(0)
        try:
            port = int(os.read(reading, 10))
            before, started = peak_megabytes(child), time.monotonic()
            run(send_all(port, sessions, megabytes * 1_000_000))
            peak = peak_megabytes(child)
        finally:
            os.kill(child, 15)
            os.waitpid(child, 0)
    print(f"{sessions} sessions of {megabytes} MB at once in {time.monotonic() - started:.0f} s:")
    print(f"smtpd's resident set: {before:.0f} MB idle, {peak:.0f} MB at its peak (limit {LIMIT_MB})")
    return 0 if peak < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
