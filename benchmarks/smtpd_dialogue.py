"""CPU of smtpd a message, the message discarded: `python -m benchmarks.smtpd_dialogue [messages]`.

The door runs in a process of its own on loopback; the client is a plain socket. 3 kB messages; kept and new
connections.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import tempfile
import time
from io import BufferedReader
from pathlib import Path

from qmail.door.admission import Admission
from qmail.log.log import Log
from qmail.message.envelope import Draft, Envelope, complete
from qmail.role.loop import run
from services.smtpd.desk import Desk
from services.smtpd.door import Door
from services.smtpd.settings import DOORS, read_settings

LINE = b"x" * 58 + b"\r\n"
TEXT = b"From: ari@xeris.com\r\nTo: joni@xeris.com\r\nSubject: a benchmark\r\n\r\n" + LINE * 50 + b".\r\n"


class Discarded:
    """A message that goes nowhere."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)

    async def commit(self, draft: Draft, invoked: bytes) -> Envelope:
        return complete(draft, invoked, message_id=self.id, size_bytes=self.size, chunk_count=0, now=time.time())

    async def abort(self) -> None:
        return None


class Discarder:
    """A queue that takes everything, and a bus on which every recipient exists."""

    connected = True

    def __init__(self) -> None:
        self.number = 0

    def begin(self) -> Discarded:
        self.number += 1
        return Discarded(self.number)

    async def ready(self) -> None:
        return None

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        return b'{"answer": "ok"}'


class QuietLog(Log):
    """Renders the lines as usual and sends them to the bin."""

    def flush(self) -> None:
        self._timer = None
        self._pending.clear()


def serve(directory: str, ready: int) -> None:
    """The server's process: writes its port to `ready`."""

    async def main() -> None:
        settings = read_settings({"QMAIL_DIR": directory, "SMTP_LISTEN": "127.0.0.1:0", "SUBMISSION_LISTEN": ""})
        queue = Discarder()
        admission = Admission(1, DOORS)
        admission.claim_row()
        server = Door(settings, Desk(queue, queue, 901), QuietLog("qmail-smtpd"), admission).server()
        await server.start()
        os.write(ready, b"%d\n" % server.ports[0])
        await asyncio.Event().wait()

    if os.environ.get("PROFILE"):
        import cProfile
        import signal

        profile = cProfile.Profile()

        def report(*_: object) -> None:
            profile.disable()
            profile.dump_stats(os.environ["PROFILE"])
            os._exit(0)

        signal.signal(signal.SIGTERM, report)
        profile.enable()
    run(main())


def expect(file: BufferedReader, code: bytes) -> None:
    line = file.readline()
    assert line.startswith(code), line


def send_one(client: socket.socket, file: BufferedReader) -> None:
    client.sendall(b"MAIL FROM:<ari@xeris.com>\r\n")
    expect(file, b"250")
    client.sendall(b"RCPT TO:<joni@xeris.com>\r\n")
    expect(file, b"250")
    client.sendall(b"DATA\r\n")
    expect(file, b"354")
    client.sendall(TEXT)
    expect(file, b"250")


def converse(port: int, messages: int, *, keep: bool) -> None:
    done = 0
    while done < messages:
        with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as file:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            expect(file, b"220")
            client.sendall(b"HELO client.xeris.com\r\n")
            expect(file, b"250")
            for _ in range(messages if keep else 1):
                send_one(client, file)
                done += 1
            client.sendall(b"QUIT\r\n")
            expect(file, b"221")


def cpu_seconds(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as directory:
        control = Path(directory) / "control"
        control.mkdir()
        for name, text in {"me": "mail.xeris.com", "rcpthosts": "xeris.com", "locals": "xeris.com"}.items():
            (control / name).write_text(text + "\n")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            serve(directory, writing)
            os._exit(0)
        port = int(os.read(reading, 10))
        try:
            for keep in (True, False):
                converse(port, 300, keep=keep)
                before = cpu_seconds(child)
                converse(port, messages, keep=keep)
                user, system = (b - a for a, b in zip(before, cpu_seconds(child), strict=True))
                name = "kept" if keep else "new "
                total = (user + system) / messages * 1000
                print(f"{name} connections: {total:.3f} ms CPU a message (user {user / messages * 1000:.3f})")
        finally:
            os.kill(child, 15)
            os.waitpid(child, 0)
    print(f"client's own memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
