"""A real door on loopback: real sockets, the in-memory bus, control files in a directory of the test."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qmail.bus.ports import Message, Stored
from qmail.door.admission import Admission
from qmail.log.log import Log
from qmail.message.envelope import Envelope, decode_envelope
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.role.loop import run
from services.smtpd.desk import Desk
from services.smtpd.door import LIMITS, Door
from services.smtpd.plugin import HOOK_SECONDS, Plugin
from services.smtpd.settings import DOORS, read_settings
from tests.support.memory_bus import MemoryBus


class LogLines(Log):
    """Keeps the lines instead of writing them."""

    def __init__(self) -> None:
        super().__init__("qmail-smtpd")
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class RunningDoor:
    """The door's loop runs in a thread of its own, so that blocking clients can talk to it."""

    def __init__(self, directory: Path, environ: dict[str, str], plugin: Plugin | None) -> None:
        self.directory = directory
        self.bus = MemoryBus()
        self.log = LogLines()
        self.settings = read_settings({"QMAIL_DIR": str(directory), **environ})
        self._plugin = plugin
        self._environ = environ
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=lambda: run(self._serve()), daemon=True)

    def start(self) -> RunningDoor:
        self._thread.start()
        assert self._ready.wait(60)
        if self._error is not None:
            raise self._error
        return self

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        ids = IdSource()
        ids.grant(1, 0, 2**62)
        admission = Admission(1, DOORS)
        admission.claim_row()
        try:
            desk = Desk(self.bus, Submitter(self.bus, ids), uid=901)
            self.door = Door(self.settings, desk, self.log, admission, self._plugin, environ=self._environ)
            self.server = self.door.server(replace(LIMITS, grace_seconds=30, sweep_seconds=0.02))
            await self.server.start()
        except BaseException as error:
            self._error = error
            self._ready.set()
            return
        self._ready.set()
        await self._stop.wait()
        await self.server.stop()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the door's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def do(self, function: Callable[[], Any]) -> Any:
        """The same for a plain function."""

        async def doing() -> Any:
            return function()

        return self.call(doing())

    def terminate(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def close(self) -> None:
        if self._thread.is_alive():
            self.terminate()
        self.join()

    def answer(self, subject: str, give: Callable[[bytes], bytes | None]) -> None:
        """Play the role that answers a subject; None: say nothing."""

        def heard(message: Message) -> None:
            text = give(message.payload)
            if text is not None:
                self.bus.publish(message.reply, text)

        self.call(self.bus.subscribe(subject, heard, "workers"))

    @property
    def port(self) -> int:
        return self.server.ports[0]

    @property
    def submission_port(self) -> int:
        return self.server.ports[len(self.settings.smtp)]

    def messages(self) -> list[tuple[Envelope, bytes]]:
        """What was put: envelope and whole text, in order."""

        def read() -> list[tuple[Envelope, bytes]]:
            return [self._message(stored) for stored in self.bus.streams["IN"].records.values()]

        found: list[tuple[Envelope, bytes]] = self.do(read)
        return found

    def _message(self, stored: Stored) -> tuple[Envelope, bytes]:
        envelope = decode_envelope(base64.b64decode(stored.headers["Qmail-Envelope"]))
        body = stored.payload
        if envelope.chunk_count:
            chunks = self.bus.streams["BODY"]
            names = [f"body.{envelope.id}.{n}" for n in range(envelope.chunk_count)]
            body = b"".join(chunks.records[chunks.last_of[name]].payload for name in names)
        return envelope, envelope.prefix + body


class Client:
    """A telnet with eyes: sends bytes, reads whole replies."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """One reply, all its lines."""
        lines = [self.file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self.file.readline())
        return b"".join(lines)

    def ask(self, line: bytes) -> bytes:
        self.send(line + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """Everything until the server hangs up."""
        return self.file.read()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """QMAIL_DIR with the control files of mail.xeris.com."""
    control = tmp_path / "control"
    control.mkdir()
    for name, text in {
        "me": "mail.xeris.com\n",
        "rcpthosts": "mail.xeris.com\nxeris.com\n",
        "locals": "mail.xeris.com\nxeris.com\n",
        "databytes": "26214400\n",
    }.items():
        (control / name).write_text(text)
    return tmp_path


@pytest.fixture
def open_door(directory: Path) -> Iterator[Callable[..., RunningDoor]]:
    """Start a door; `handler` as aiosmtpd's are, and environment variables in upper case."""
    running: list[RunningDoor] = []

    def start(handler: object = None, seconds: float = HOOK_SECONDS, **environ: str) -> RunningDoor:
        listen = {"SMTP_LISTEN": "127.0.0.1:0", "SUBMISSION_LISTEN": "127.0.0.1:0,127.0.0.1:0/tls"}
        plugin = None if handler is None else Plugin(handler, seconds)
        running.append(RunningDoor(directory, {**listen, **environ}, plugin).start())
        return running[-1]

    yield start
    for door in running:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., RunningDoor]) -> RunningDoor:
    return open_door()


@pytest.fixture
def connect() -> Iterator[Callable[[int], Client]]:
    """Connect to a port and read nothing yet."""
    clients: list[Client] = []

    def make(port: int) -> Client:
        clients.append(Client(port))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
