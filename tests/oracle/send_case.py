"""A whole deployment in one process for a recorded case of qmail-send: queue, bounce writer and both delivery
programs on one bus in memory, the homes in a directory of its own.

Time is the case's own and stands still but for its `sleep` steps; message numbers have five digits, as the
recorded process numbers had, so that sizes are equal.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import io
import itertools
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qmail.accounts import Accounts
from qmail.bus.memory import MemoryBus
from qmail.bus.ports import Record
from qmail.control import Control
from qmail.envelope import Recipient
from qmail.identity import ActingPool
from qmail.ids import EPOCH_2020_MS, IdSource
from qmail.log import Log
from qmail.put import Draft, Submitter
from qmail.socket import QueueSocket
from services.admin.assign import User, alias_line, check_name, render_assign, user_lines
from services.inject.command import Surroundings, inject
from services.inject.queue import SocketQueue
from services.inject.replies import Fatal
from services.admin.report import render_qread, render_qstat
from services.delivery.local.announce import Announcer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.local.forward import Forwarder
from services.delivery.local.lookup import Lookup
from services.delivery.local.spawn import Spawner
from services.delivery.remote.attempt import World
from services.delivery.remote.deliver import RemoteDelivery
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.tcpto import TcpTo
from services.delivery.worker import Worker
from services.queue.bounce.writer import BounceWriter
from services.queue.listing import Listing
from services.queue.service import QueueService
from services.queue.settings import read_settings
from tests.oracle.kinds.remote import Network, received, start_dns, start_servers, to_bytes, write_control
from tests.oracle.normalise import Norm

# A day of the month with two digits, as when the cases were recorded.
_STARTED = 1_700_000_000
_QMAIL_UIDS = {
    "alias": 1003,
    "qmaild": 1004,
    "qmaill": 1005,
    "qmailp": 1006,
    "qmailq": 1007,
    "qmailr": 1008,
    "qmails": 1009,
}
_USERS = (("ari", 2001), ("joni", 2002), ("joe", 2003), ("diva", 2004))
_PATH = b"/var/qmail/bin:/usr/bin:/bin"
_GRACE_SECONDS = 10.0
# After the last word on the bus everything that follows from it happens within so many turns of the loop.
_TURNS = 10
_QUIET_SECONDS = 20.0


class Clock:
    """The case's time, in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = float(_STARTED)

    def __call__(self) -> float:
        return self.now


class WatchedBus(MemoryBus):
    """Says when something happened on it."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Event()

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        super().publish(subject, payload, reply)
        self.moved.set()

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        sequence = await super().store(record, expected_sequence)
        self.moved.set()
        return sequence


class CaseLog(Log):
    """Keeps qmail-send's lines."""

    def __init__(self) -> None:
        super().__init__("qmail")
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def text_of(data: bytes) -> str:
    """Bytes as text, in which message numbers can be replaced; what is not UTF-8 as escapes."""
    return data.decode("utf-8", "backslashreplace")


@functools.cache
def _spawner() -> Spawner:
    """One for all cases: it takes longer to start than most of them run."""
    spawner = Spawner()
    atexit.register(spawner.close)
    return spawner


def five_digit_ids() -> IdSource:
    """Numbers 10000, 10001, ... as if all were given out in the first millisecond of 2020."""
    ids = IdSource(lambda: 0.0)
    ids.grant(10, EPOCH_2020_MS - 1, EPOCH_2020_MS)
    return ids


class SendCase:
    """One case; `run` answers in the shape of its `expect`."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._as_root = os.geteuid() == 0
        self._clock = Clock()
        self._log = CaseLog()
        self._began = time.time()
        self._caller = 0
        self._submissions: list[dict[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        """Make the deployment, take the steps, end it, and gather what it left."""
        async with AsyncExitStack() as stack:
            self.root = Path(tempfile.mkdtemp(prefix="qmail-send-"))
            stack.callback(shutil.rmtree, self.root)
            self.root.chmod(0o755)
            self._make_files()
            servers = await start_servers(self._given.get("servers", []), stack)
            dns_port = await start_dns(self._given.get("dns"), stack)
            await self._start(stack, Network({key: s.port for key, s in servers.items()}), dns_port)
            for step in self._given["steps"]:
                ((name, argument),) = step.items()
                await self._STEPS[name](self, argument)
                await self._quiet()
            listing = Listing(self._queue, self._bus)
            entries = [entry.model_dump() for entry in await listing.page(0, 1000)]
            qread, qstat = render_qread(entries), render_qstat(listing.status())
            await self._queue.stop(_GRACE_SECONDS)
            for worker in self._workers:
                await worker.stop(_GRACE_SECONDS)
            for server in servers.values():
                await server.stop()
            result = {
                "log": [self._shown_line(line) for line in self._log.lines],
                "exit": 0,
                "submissions": self._submissions,
                "files": self._files(),
                "qread": re.sub(r"(?m)^\d{1,2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT ", "<QDATE> ", self._shown(qread)),
                "qstat": qstat,
            }
            if servers:
                result["received"] = [self._shown_connections(received(k, s)) for k, s in servers.items()]
            return result

    # The deployment.

    async def _start(self, stack: AsyncExitStack, network: Network, dns_port: int) -> None:
        self._bus, ids, control = WatchedBus(), five_digit_ids(), Control(self.root / "control")
        submitter = Submitter(self._bus, ids, self._clock)
        self._submitter = submitter
        spawner = _spawner()
        pool = ActingPool(per_user=self._as_root, threads=2)
        stack.callback(pool.close)
        ticks = itertools.count()
        local = LocalDelivery(
            lookup=Lookup(Accounts(self.root / "users" / "assign"), control, lambda: float(next(ticks))),
            pool=pool,
            spawner=spawner,
            forwarder=Forwarder(submitter),
            announcer=Announcer(self._bus.publish),
            per_user=self._as_root,
            base_environment={b"PATH": _PATH},
        )
        world = World(
            control=control,
            resolver=make_resolver({"DNS_SERVER": f"127.0.0.1:{dns_port}"}, ipv6=False, lifetime_seconds=3.0),
            tcpto=TcpTo(self._clock),
            open_wire=network.open,
        )
        self._workers = [Worker(self._bus, "local", local), Worker(self._bus, "remote", RemoteDelivery(world))]
        self._queue = QueueService(
            bus=self._bus,
            control=control,
            settings=read_settings(control, {}),
            ids=ids,
            log=self._log,
            epoch=1,
            clock=self._clock,
        )
        await self._queue.start(is_first=True)
        await BounceWriter(self._bus, control, _QMAIL_UIDS["qmails"], self._clock).start()
        for worker in self._workers:
            await worker.start()
        served = QueueSocket(
            submitter,
            "admin",
            max_bytes=lambda: 0,
            alias_uid=_QMAIL_UIDS["alias"],
            uid_of=lambda _: self._caller,
        )
        server = await asyncio.start_unix_server(served.accept, self.root / "socket")
        stack.callback(server.close)
        await self._quiet()

    async def _quiet(self) -> None:
        """Return when nothing is under way. Everything that happens ends with a word on the bus."""
        async with asyncio.timeout(_QUIET_SECONDS):
            while True:
                self._bus.moved.clear()
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                if self._bus.moved.is_set():
                    continue
                if self._queue.is_quiet() and all(worker.is_quiet() for worker in self._workers):
                    return
                await self._bus.moved.wait()

    # Steps.

    async def _submit(self, given: dict[str, Any]) -> None:
        uid = given["uid"]
        self._caller = _QMAIL_UIDS.get(uid, uid)
        sender = to_bytes(given["sender"])
        recipients = [to_bytes(recipient) for recipient in given["recipients"]]
        if uid == "qmaild":
            await self._submit_from_network(sender, recipients, to_bytes(given["message"]))
            return
        queue = SocketQueue(self.root / "socket")

        def put() -> int:
            queue.open()
            queue.write(to_bytes(given["message"]))
            return queue.finish(sender, recipients)

        self._submissions.append({"exit": await asyncio.to_thread(put)})

    async def _submit_from_network(self, sender: bytes, recipients: list[bytes], message: bytes) -> None:
        """smtpd has no use for the socket: it puts on the bus itself."""
        submission = self._submitter.begin()
        await submission.write(message)
        await submission.commit(
            Draft(
                sender=sender,
                recipients=tuple(map(Recipient, recipients)),
                uid=self._caller,
                role="smtpd",
                invoked=b"from network",
            )
        )
        self._submissions.append({"exit": 0})

    async def _inject(self, given: dict[str, Any]) -> None:
        self._caller = given["uid"] or 0
        around = Surroundings(
            environ={to_bytes(name): to_bytes(value) for name, value in given["env"].items()},
            control=Control(self.root / "control"),
            stdin=io.BytesIO(to_bytes(given["stdin"])),
            stdout=io.BytesIO(),
            queue=SocketQueue(self.root / "socket"),
        )
        try:
            await asyncio.to_thread(inject, [to_bytes(argument) for argument in given["args"]], around)
            self._submissions.append({"exit": 0, "stderr": ""})
        except Fatal as fatal:
            self._submissions.append({"exit": fatal.code, "stderr": text_of(fatal.text)})

    async def _control(self, given: dict[str, Any]) -> None:
        for name, content in given.items():
            (self.root / "control" / name).write_bytes(to_bytes(content))

    async def _signal(self, name: str) -> None:
        {"ALRM": self._queue.flush, "HUP": self._queue.reload}[name]()

    async def _sleep(self, seconds: float) -> None:
        self._clock.now += seconds

    _STEPS: dict[str, Callable[[SendCase, Any], Awaitable[None]]] = {  # noqa: RUF012
        "queue": _submit,
        "inject": _inject,
        "control": _control,
        "signal": _signal,
        "sleep": _sleep,
    }

    # Files.

    def _make_files(self) -> None:
        control = self.root / "control"
        control.mkdir()
        write_control(control, self._given["control"])
        if "defaultdelivery" in self._given:
            (control / "defaultdelivery").write_text(self._given["defaultdelivery"])
        self._owners = {self.root / "alias": _QMAIL_UIDS["alias"]}
        self._make_home(self.root / "alias", {"uid": _QMAIL_UIDS["alias"]})
        entries = list(self._passwd())
        for entry in entries:
            self._make_home(self.root / "home" / entry["user"], entry)
        for file in self._given["files"]:
            self._make_file(file)
        self._sealed = {path: path.read_bytes() for path in self._below() if path.is_file()}
        for entry in entries:
            if "mode" in entry:
                (self.root / "home" / entry["user"]).chmod(int(entry["mode"], 8))
        (self.root / "users").mkdir()
        (self.root / "users" / "assign").write_text(self._assign(entries))

    def _passwd(self) -> Iterator[dict[str, Any]]:
        removed = self._given.get("passwd_remove", ())
        for user, uid in _USERS:
            if user not in removed:
                yield {"user": user, "uid": uid}
        yield from self._given.get("passwd_extra", ())

    def _make_home(self, home: Path, entry: dict[str, Any]) -> None:
        self._owners[home] = entry["uid"]
        made = [home] if entry.get("nomaildir") else [home, *(home / "Maildir" / sub for sub in ("tmp", "new", "cur"))]
        for directory in made:
            directory.mkdir(parents=True, mode=0o755)
        for directory in (home, *(path for path in home.rglob("*"))):
            self._own(directory, entry["uid"])
        self._own(home, entry.get("owner", entry["uid"]))

    def _own(self, path: Path, uid: int) -> None:
        if self._as_root:
            os.chown(path, uid, uid)

    def _make_file(self, file: dict[str, Any]) -> None:
        path = self._place(file["path"])
        path.write_bytes(to_bytes(file["content"]))
        path.chmod(int(file.get("mode", "0644"), 8))
        home = next(home for home in self._owners if home in path.parents)
        self._own(path, self._owners[home])

    def _place(self, path: str) -> Path:
        return self.root / path.replace("/var/qmail/", "").lstrip("/")

    def _assign(self, entries: list[dict[str, Any]]) -> str:
        """The case's users/assign, and behind it what qmail-pw2u(8) makes of passwd: nobody with uid 0, nobody whose
        home is not his own. qmail reads assign first, so no entry may stand before a wildcard that covers it."""
        text = self._given.get("assign", ".\n").replace("/home/", f"{self.root}/home/")
        lines = text.partition(".\n")[0].splitlines()
        covered = tuple(line[1:].partition(":")[0].lower() for line in lines if line.startswith("+"))
        for entry in entries:
            if self._may_receive(entry) and not (covered and entry["user"].startswith(covered)):
                home = self.root / "home" / entry["user"]
                lines += user_lines(User(name=entry["user"], uid=entry["uid"], home=home))
        if "" not in covered:
            lines.append(alias_line(_QMAIL_UIDS["alias"], self.root / "alias"))
        return render_assign(lines)

    def _may_receive(self, entry: dict[str, Any]) -> bool:
        try:
            check_name(entry["user"])
        except ValueError:
            return False
        return entry["uid"] != 0 and entry.get("owner", entry["uid"]) == entry["uid"]

    # Results.

    def _below(self) -> Iterator[Path]:
        for top in ("home", "alias"):
            yield from (self.root / top).rglob("*")

    def _files(self) -> list[dict[str, Any]]:
        found = [path for path in self._below() if path.is_file() and self._sealed.get(path) != path.read_bytes()]
        return sorted((self._fact(path) for path in found), key=lambda fact: (fact["path"], str(fact["content"])))

    def _fact(self, path: Path) -> dict[str, Any]:
        facts = path.stat()
        owner = {uid: name for name, uid in _QMAIL_UIDS.items()}.get(facts.st_uid, str(facts.st_uid))
        shown = str(path.relative_to(self.root)).replace("alias/", "var/qmail/alias/", 1)
        return {
            "path": re.sub(r"/\d{10}\.\d+\.[^/]*$", "/<TIME>.<PID>.<HOSTNAME>", f"/{shown}"),
            "owner": owner if self._as_root else None,
            "mode": f"{stat.S_IMODE(facts.st_mode):04o}",
            "content": text_of(self._shown_bytes(path.read_bytes())),
        }

    def _shown_connections(self, server: dict[str, Any]) -> dict[str, Any]:
        shown = [text_of(self._shown_bytes(to_bytes(text))) for text in server["connections"]]
        return {**server, "connections": shown}

    def _shown_line(self, line: str) -> str:
        for name, uid in _QMAIL_UIDS.items():
            line = re.sub(rf" uid {uid}$", f" uid <{name}>", line)
        return self._shown(line)

    def _shown(self, text: str) -> str:
        return text_of(self._shown_bytes(text.encode()))

    def _shown_bytes(self, data: bytes) -> bytes:
        """The text with placeholders for paths, dates and times; message numbers stay."""
        data = data.replace(os.fsencode(self.root) + b"/home", b"/home")
        data = data.replace(os.fsencode(self.root) + b"/alias", b"/var/qmail/alias")
        # Norm knows nothing of numbered queue programs.
        data = re.sub(rb"\(qmail (1\d{4}) invoked", rb"(qmail <\1> invoked", data)
        for norm in (Norm(_STARTED, self._clock.now), Norm(self._began, time.time())):
            data = norm(data)
        return data
