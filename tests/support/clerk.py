"""An auth without a process: real files and verifier on a bus in memory."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from qmail.bus.talk.ask_pass import SUBJECT
from qmail.bus.talk.messages import WORKERS
from qmail.control.files import Control
from qmail.control.paths import read_paths
from qmail.control.table import AUTHMODULELIST
from qmail.log.notices import Notices
from services.auth.files import Files
from services.auth.known import KnownNetworks
from services.auth.modules.read import makers, read_modules
from services.auth.password_verifier import PasswordVerifier
from services.auth.verifications import CONCURRENT_VERIFICATIONS
from tests.support.memory_bus import MemoryBus

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
OK = {"ok": True, "name": "ari", "uid": 2001, "gid": 2001, "home": "/home/ari"}
NO = {"ok": False}
TEMPORARY = {"ok": False, "temporary": True}


class Clerk:
    """A verifier on a bus, and what it has logged. Made in a running loop."""

    def __init__(self, root: Path, threads: Executor, bus: MemoryBus | None = None) -> None:
        self.root = root
        self.bus = bus or MemoryBus()
        self.log: list[str] = []
        self.notices = Notices(self.log.append)
        control = Control(root / "control", self.notices)
        known = makers(read_paths({"QMAIL_DIR": str(root)}), control, self.notices, CONCURRENT_VERIFICATIONS)
        modules = read_modules(control.get(AUTHMODULELIST), known, self.notices, self.log.append)
        files = Files(root / "users/assign", control, self.notices)
        self.verifier = PasswordVerifier(
            files, modules, control, self.notices, KnownNetworks(self.bus, b"secret"), threads
        )

    async def open(self) -> Clerk:
        await self.verifier.slowing.join(self.bus, WORKERS)
        await self.bus.subscribe(SUBJECT, partial(self.verifier.take, self.bus), WORKERS)
        return self

    async def ask(self, user: str, password: str, **more: object) -> Any:
        asked = {"user": user, "password": password, "service": "pop3", "ip": "203.0.113.9", "tls": True, **more}
        return json.loads(await self.bus.request(SUBJECT, json.dumps(asked).encode(), 40))
