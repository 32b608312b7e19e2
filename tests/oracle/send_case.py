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
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qmail.accounts.assign import Accounts
from qmail.accounts.identity import ActingPool
from qmail.bus.ports import Record
from qmail.control.files import Control
from qmail.door.session import Ask, Effect, Send
from qmail.log.log import Log
from qmail.message.address import Address
from qmail.message.envelope import Origin
from qmail.message.ids import EPOCH_2020_MS, IdSource
from qmail.queue.put import Submitter
from qmail.queue.socket.client import SocketQueue
from qmail.queue.socket.server import QueueSocket
from services.admin.commands.report import render_qread, render_qstat
from services.delivery.local.announce import Announcer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.local.forward import Forwarder
from services.delivery.local.lookup import Lookup
from services.delivery.local.spawn import Spawner
from services.delivery.remote.attempt import World
from services.delivery.remote.deliver import RemoteDelivery
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.settings import SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.worker import Worker
from services.inject.command import Surroundings, inject
from services.inject.replies import Fatal
from services.queue.api.listing import Listing
from services.queue.bounce.writer import BounceWriter
from services.queue.run.service import QueueService
from services.smtpd.desk import Desk, Putting
from services.smtpd.facts import Commit, read_client
from services.smtpd.policy_reader import PolicyReader
from services.smtpd.session import SmtpSession
from tests.oracle.kinds.remote import Network, received, start_dns, start_servers, to_bytes, write_control
from tests.oracle.normalise import Norm
from tests.oracle.send_homes import QMAIL_UIDS, USERS, Homes
from tests.support.drafts import make_draft
from tests.support.memory_bus import MemoryBus
from tests.support.scheduling import make_context

# A day of the month with two digits, as when the cases were recorded.
_STARTED = 1_700_000_000
_UIDS = {"root": 0, **USERS, **QMAIL_UIDS}
# Who puts mail on the bus himself: smtpd and the bounce writer.
_WITHOUT_SOCKET = {"qmaild": b"from network", "qmails": b"for bounce"}
_PATH = b"/var/qmail/bin:/usr/bin:/bin"
_GRACE_SECONDS = 10.0
# After the last word on the bus everything that follows from it happens within so many turns of the loop.
_TURNS = 10
_QUIET_SECONDS = 10.0


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
        self._said = b""
        self._submissions: list[dict[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        """Make the deployment, take the steps, end it, and gather what it left."""
        async with AsyncExitStack() as stack:
            self.root = Path(tempfile.mkdtemp(prefix="qmail-send-"))
            stack.callback(shutil.rmtree, self.root)
            self.root.chmod(0o755)
            self._homes = Homes(self.root, self._given)
            self._homes.make()
            self._make_control()
            servers = await start_servers(self._given.get("servers", []), stack)
            dns_port = await start_dns(self._given.get("dns"), stack)
            await self._start(stack, Network({key: s.port for key, s in servers.items()}), dns_port)
            for step in self._given["steps"]:
                ((name, argument),) = step.items()
                await self._STEPS[name](self, argument)
                await self._quiet()
            listing = Listing(self._queue, self._bus)
            entries = [entry.model_dump() for entry in await listing.page(0, 1000)]
            qread, qstat = render_qread(entries), render_qstat(await listing.status())
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

    def _make_control(self) -> None:
        control = self.root / "control"
        control.mkdir()
        write_control(control, self._given["control"])
        if "defaultdelivery" in self._given:
            (control / "defaultdelivery").write_text(self._given["defaultdelivery"])

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
            forwarder=Forwarder(submitter, exact=lambda: True),
            announcer=Announcer(self._bus.publish),
            per_user=self._as_root,
            base_environment={b"PATH": _PATH},
        )
        world = World(
            settings=SettingsReader(control),
            resolver=make_resolver({"DNS_SERVER": f"127.0.0.1:{dns_port}"}, ipv6=False, lifetime_seconds=3.0),
            tcpto=TcpTo(self._clock),
            open_wire=network.open,
        )
        self._workers = [Worker(self._bus, "local", local), Worker(self._bus, "remote", RemoteDelivery(world))]
        # Where something breaks, its alert in the log makes the case differ.
        self._queue = QueueService(make_context(self._bus, self._log, clock=self._clock), control, ids)
        await self._queue.start(is_first=True)
        await BounceWriter(self._bus, control, QMAIL_UIDS["qmails"], self._clock).start()
        for worker in self._workers:
            await worker.start()
        served = QueueSocket(
            submitter,
            "admin",
            max_bytes=lambda: 0,
            exact=lambda: True,
            alias_uid=QMAIL_UIDS["alias"],
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
        self._caller = _UIDS.get(uid, uid)
        sender = to_bytes(given["sender"])
        recipients = [to_bytes(recipient) for recipient in given["recipients"]]
        if uid in _WITHOUT_SOCKET:
            invoked = _WITHOUT_SOCKET[uid]
            await self._put(invoked, sender, recipients, to_bytes(given["message"]))
            return
        queue = SocketQueue(self.root / "socket")

        def put() -> int:
            queue.open()
            queue.write(to_bytes(given["message"]))
            return queue.finish(Address(sender), map(Address, recipients))

        self._submissions.append({"exit": await asyncio.to_thread(put)})

    async def _put(self, invoked: bytes, sender: bytes, recipients: list[bytes], message: bytes) -> None:
        submission = self._submitter.begin()
        await submission.write(message)
        await submission.commit(make_draft(*recipients, sender=sender, uid=self._caller), invoked)
        self._submissions.append({"exit": 0})

    async def _smtp(self, given: dict[str, Any]) -> None:
        client = read_client({name: to_bytes(value) for name, value in given["env"].items()})
        policy = PolicyReader(Control(self.root / "control")).current()
        session = SmtpSession(policy, client, Origin(uid=QMAIL_UIDS["qmaild"], role="smtpd"), self._clock)
        self._said = b""
        await self._carry_out(session, session.connected())
        await self._carry_out(session, session.received(to_bytes(given["stdin"])))
        said = text_of(self._shown_bytes(self._said))
        self._submissions.append({"exit": session.dialogue.exit_status >> 8, "stdout": said, "stderr": ""})

    async def _carry_out(self, session: SmtpSession, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._said += effect.data
            elif isinstance(effect, Ask):
                assert isinstance(effect.request, Commit), effect.request
                desk = Desk(self._bus, self._submitter, QMAIL_UIDS["qmaild"])
                number = await Putting(desk).commit(effect.request)
                await self._carry_out(session, session.answered(number))
            else:
                return

    async def _inject(self, given: dict[str, Any]) -> None:
        self._caller = _UIDS.get(given["uid"], given["uid"] or 0)
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
        "smtp": _smtp,
        "control": _control,
        "signal": _signal,
        "sleep": _sleep,
    }

    # Results.

    def _files(self) -> list[dict[str, Any]]:
        found = [{**fact, "content": text_of(self._shown_bytes(fact["content"]))} for fact in self._homes.changed()]
        return sorted(found, key=lambda fact: (fact["path"], fact["content"]))

    def _shown_connections(self, server: dict[str, Any]) -> dict[str, Any]:
        shown = [text_of(self._shown_bytes(to_bytes(text))) for text in server["connections"]]
        return {**server, "connections": shown}

    def _shown_line(self, line: str) -> str:
        for name, uid in QMAIL_UIDS.items():
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
