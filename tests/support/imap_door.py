"""A real imap door on loopback: real session, real handler, real Maildir; only the bus is the one in memory."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qmail.accounts.assign import Account
from qmail.accounts.identity import ActingPool
from qmail.bus.ports import Message
from qmail.control.paths import read_paths
from qmail.door.admission import Budget
from qmail.door.limits import Limits
from qmail.door.listeners import Listener
from qmail.door.server import Server
from qmail.door.settings import Settings
from qmail.log.log import Log
from services.imap.door import Door
from tests.support.memory_bus import MemoryBus

UID = 54321
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


def make_maildir(path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True, mode=0o700)
    own(path)
    return path


def own(path: Path) -> None:
    """Give a tree to the account, where tests run as root."""
    if os.geteuid() == 0:
        for one in (path, *path.rglob("*")):
            os.chown(one, UID, UID, follow_symlinks=False)


@dataclass
class Deployment:
    """The running door, and how to reach it."""

    root: Path
    port: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    bus: MemoryBus = field(default_factory=MemoryBus)
    answer: dict[str, object] = field(default_factory=dict)
    closed: threading.Event = field(default_factory=threading.Event)
    server: Server | None = None
    #: What went to the log so far.
    logged: list[str] = field(default_factory=list)

    @property
    def maildir(self) -> Path:
        return self.root / "home" / "joni" / "Maildir"

    def put(self, name: str, content: bytes, folder: str = "new", box: str = "") -> Path:
        """A message, as delivery-local puts it."""
        made = self.maildir / box / "tmp" / name
        made.write_bytes(content)
        own(made)
        # A session may move it on at once.
        return made.rename(self.maildir / box / folder / name)

    def announce(self) -> None:
        """What delivery-local says after a delivery."""
        uid = int(str(self.answer["uid"]))
        self.loop.call_soon_threadsafe(self.bus.publish, f"new.{uid}", b"Maildir")

    def client(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        client.login("joni", "rahasia")
        return client

    def raw(self) -> Raw:
        return Raw(self.port)


class Raw:
    """A client that sends exactly what it is told."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        return self.file.readline()

    def until(self, begin: bytes) -> list[bytes]:
        """Lines up to and with the first that begins so."""
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(begin):
            line = self.file.readline()
            if not line:
                raise AssertionError(f"closed; had {lines}")
            lines.append(line)
        return lines

    def ask(self, command: bytes) -> list[bytes]:
        """A tagged command's whole answer."""
        self.send(command + b"\r\n")
        return self.until(command.split(b" ", 1)[0] + b" ")

    def answers(self, command: bytes) -> list[bytes]:
        """A command's answers without CRLF, literals within them; the tagged one, without its tag, is the last.

        `command` has no tag; literals in it are sent with it."""
        self.send(b"x " + command + b"\r\n")
        found: list[bytes] = []
        while not found or not found[-1].startswith(b"x "):
            answer = self.file.readline()
            while literal := _LITERAL.search(answer):
                answer += self.file.read(int(literal[1])) + self.file.readline()
            if not answer:
                raise AssertionError(f"closed; had {found}")
            if not answer.startswith(b"+ "):
                found.append(answer.removesuffix(b"\r\n"))
        return [*found[:-1], found[-1].removeprefix(b"x ")]

    def login(self) -> Raw:
        assert self.ask(b"l LOGIN joni rahasia")[-1].startswith(b"l OK")
        return self

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def _answer_passwords(deployment: Deployment) -> None:
    def answer(message: Message) -> None:
        asked = json.loads(message.payload)
        good = asked["user"] == "joni" and asked["password"] == "rahasia"
        reply = deployment.answer if good or "temporary" in deployment.answer else {"ok": False}
        deployment.bus.publish(message.reply, json.dumps(reply).encode())

    deployment.loop.run_until_complete(deployment.bus.subscribe("ask.pass", answer, "workers"))


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with running() as door:
        yield door


@contextlib.contextmanager
def running() -> Iterator[Deployment]:
    """A door with the account joni (password rahasia), for as long as the block lasts."""
    root = Path(tempfile.mkdtemp(prefix="imap-"))
    root.chmod(0o755)
    deployment = Deployment(root)
    make_maildir(deployment.maildir)
    own(deployment.maildir.parent)
    for part in ("control", "tls", "imapcache"):
        (root / part).mkdir()
    (root / "imapcache").chmod(0o1733)
    uid = UID if os.geteuid() == 0 else os.getuid()
    gid = UID if os.geteuid() == 0 else os.getgid()
    account = Account(b"joni", uid, gid, deployment.maildir.parent)
    deployment.answer.update(ok=True, name="joni", uid=uid, gid=gid, home=str(account.home))
    pool = ActingPool(per_user=os.geteuid() == 0, threads=2)
    settings = Settings(
        paths=read_paths({"QMAIL_DIR": str(root)}),
        listeners=(Listener(host="127.0.0.1", port=0),),
        processes=1,
        per_user=True,
        address="127.0.0.1",
        gateways=frozenset(),
        budget=Budget(1000, 100),
    )
    log = Log("imapd")
    log.attach(lambda lines: deployment.logged.append("".join(f"{line}\n" for line in lines)))
    loop = deployment.loop
    _answer_passwords(deployment)

    async def start() -> Server:
        door = Door(settings, deployment.bus, pool, log)
        door.notifier.start()
        server = door.server(limits=Limits(grace_seconds=0.0, linger_seconds=0.5))
        await server.start()
        deployment.port = server.ports[0]
        return server

    deployment.server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield deployment
    finally:
        asyncio.run_coroutine_threadsafe(deployment.server.stop(0.0), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        pool.close()
        loop.close()
        shutil.rmtree(root)
