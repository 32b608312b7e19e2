"""Recorded sessions of qmail-popup and qmail-pop3d against services.pop3: its dialogue, handler and mailbox on a real
directory. The socket is replaced, and the bus by its twin in memory with the recorded stand-in for checkpassword.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qmail.accounts.identity import ActingPool
from qmail.bus.ports import Message
from qmail.bus.talk.ask_pass import SUBJECT as ASK_PASS
from qmail.bus.talk.messages import WORKERS
from qmail.control.files import Control
from qmail.door.session import Ask, Close, Effect, Peer, Send
from qmail.door.user_sessions import UserSessions
from qmail.log.notices import Notices
from services.pop3.handler import Maildrops, Pop3Handler
from services.pop3.transaction import Manner, Transaction
from tests.oracle.normalise import Norm
from tests.support.memory_bus import MemoryBus

PEER = Peer("127.0.0.1", 40000, "127.0.0.1", 110, False)
PASSWORDS = {"ari": "aripass", "joni": "jonipass", "joe": "joe pass", "diva": "divapass"}
UID = 2001


def run(case: dict[str, Any]) -> dict[str, Any]:
    """One session as uid 2001 where this process may, as the caller where it is not root."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "ari"
        os.chmod(directory, 0o755)
        lay_out(home, case["input"]["files"])
        return asyncio.run(_converse(home, case["input"]))


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    return expected == actual


def lay_out(home: Path, files: Sequence[dict[str, Any]]) -> None:
    home.mkdir()
    for file in files:
        path = home / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.get("type") == "dir":
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(_bytes(file.get("content", "")))
    # An age below zero is of this very second, or later, for as long as the case runs.
    now = time.time()
    for file in sorted(files, key=lambda file: -len(file["path"])):
        path = home / file["path"]
        if "age" in file:
            age = file["age"] if file["age"] >= 0 else -3600
            os.utime(path, (now - age, now - age))
        if "mode" in file:
            path.chmod(int(file["mode"], 8))
    if os.geteuid() == 0:
        for path in [home, *home.rglob("*")]:
            os.chown(path, UID, UID)


async def _converse(home: Path, given: dict[str, Any]) -> dict[str, Any]:
    started = time.time()
    per_user = os.geteuid() == 0
    pool = ActingPool(per_user=per_user, threads=1)
    bus = MemoryBus()
    await bus.subscribe(ASK_PASS, lambda message: _check_password(bus, message, home), WORKERS)
    maildrops = Maildrops(bus, pool, Quiet(), UserSessions(Control(home)), per_user=per_user)
    handler = Pop3Handler(maildrops, PEER, classic=True)
    session = _Session(handler, _host(given["argv"]))
    try:
        stdout = await session.run(given)
    finally:
        pool.close()
    return {
        # qmail-popup always ends with 1, qmail-pop3d with 0.
        "exit": 1 if given["argv"][0] == "qmail-popup" else 0,
        "stdout": _text(Norm(started, time.time())(stdout)),
        "stderr": "",
        "files": sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()),
    }


def _host(argv: Sequence[str]) -> bytes:
    return argv[1].encode() if argv[0] == "qmail-popup" else b"mail.xeris.com"


def _check_password(bus: MemoryBus, message: Message, home: Path) -> None:
    asked = json.loads(message.payload)
    right = PASSWORDS.get(asked["user"])
    accepted = {right}
    if right and "apop" in asked:
        accepted.add(hashlib.md5((asked["apop"] + right).encode()).hexdigest())
    answer: dict[str, Any] = {"ok": False}
    if right is not None and asked["password"] in accepted:
        answer = {"ok": True, "name": asked["user"], "uid": UID, "gid": UID, "home": str(home)}
        if asked["user"] == "diva":  # the recorded stand-in: exit code 111, no home
            answer = {"ok": False, "temporary": True}
    bus.publish(message.reply, json.dumps(answer).encode())


class Quiet:
    """The cases show no log."""

    def __init__(self) -> None:
        self.notices = Notices(self.line)

    def line(self, text: str) -> None: ...


class _Session:
    def __init__(self, handler: Pop3Handler, host: bytes) -> None:
        self._handler = handler
        self._session = Transaction(
            Manner(
                timestamp=b"<%d.%d@%s>" % (os.getpid(), time.time(), host),
                classic=True,
                tls_available=False,
                address="127.0.0.1",
            )
        )
        self._out = b""
        self._closed = False

    async def run(self, given: dict[str, Any]) -> bytes:
        await self._carry_out(self._session.connected(PEER))
        if given["argv"][0] == "qmail-pop3d":
            await self._carry_out(self._session.received(b"USER ari\r\n"))
            self._out = b""
            await self._carry_out(self._session.received(b"PASS aripass\r\n"))
        stdin = self._with_digests(_bytes(given["stdin"]))
        for data in re.findall(rb"[^\n]*\n|[^\n]+", stdin) if given.get("interactive") else [stdin]:
            if not self._closed:
                await self._carry_out(self._session.received(data))
        if not self._closed:
            await self._carry_out(self._session.eof())
        return self._out

    def _with_digests(self, stdin: bytes) -> bytes:
        timestamp = self._session.manner.timestamp
        return re.sub(rb"<APOP:([^>]*)>", lambda found: hashlib.md5(timestamp + found[1]).hexdigest().encode(), stdin)

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._out += effect.data
                case Close():
                    self._closed = True
                case Ask():
                    await self._carry_out(
                        self._session.answered(await self._handler.answer(effect.request, self._send))
                    )

    async def _send(self, data: bytes) -> None:
        self._out += data


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}
