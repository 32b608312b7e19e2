"""Log lines from the bus into the log directories: /var/log/qmail/current and its like.

An event is acknowledged when its lines are in the file, and not before those of every event that came earlier, so that
what cannot be written now, or was said while this role was away, comes later, in order.

Why: docs/decisions/0021-a-role-for-the-logs.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets

from qmail.bus import subjects
from qmail.bus.ports import Bus, BusDown, Message
from qmail.bus.talk import log_lines
from qmail.bus.talk.messages import Malformed
from qmail.log.notices import Notices
from services.log.directories import LogDirectories

_CONSUMER = f"{subjects.EVENTS}.{subjects.LOG_CONSUMER}"
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{_CONSUMER}"
RESET = f"$JS.API.CONSUMER.RESET.{_CONSUMER}"
# A consumer that is not made yet does not answer.
RESET_SECONDS = 2.0
# An event may have 1 MB.
PULL_MESSAGES = 100
PULL_SECONDS = 30
# After this long without a word the pull was lost; one that is lost with the connection is not waited for.
SILENCE_SECONDS = PULL_SECONDS + 5
TIME_IS_UP = "408"
RETRY_SECONDS = 1.0
UNWRITABLE_SECONDS = 5.0
# Somebody hears it from the moment on that lines are read.
INBOX = "_INBOX_log.events"


class Reader:
    """The only reader of EVENTS/log."""

    def __init__(self, bus: Bus, logs: LogDirectories, notices: Notices) -> None:
        self._bus, self._logs, self._notices = bus, logs, notices
        #: None: the connection was lost, and the pull with it.
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._written = 0

    async def run(self) -> None:
        """Read until cancelled."""
        self._bus.on_reconnected(lambda: self._arrived.put_nowait(None))
        while True:
            pause = RETRY_SECONDS
            try:
                await self._read()
            except BusDown:
                pass  # it comes back, and the health check tells that it is away
            except OSError as error:
                self._notices.stands("write", f"{error.filename}: {error.strerror}; log lines wait on the bus")
                pause = UNWRITABLE_SECONDS
            await asyncio.sleep(pause)

    async def _read(self) -> None:
        """From the first event that is not acknowledged, until the pull is lost or refused. Raises OSError where a
        line cannot be written, BusDown."""
        self._logs.make()
        self._arrived, self._written = asyncio.Queue(), 0
        if "error" in json.loads(await self._bus.request(RESET, b"", RESET_SECONDS)):
            return
        # An inbox that no earlier pull knows: what one of them has sent, or will send, comes again.
        inbox = f"{INBOX}.{secrets.token_hex(8)}"
        subscription = await self._bus.subscribe(inbox, self._arrived.put_nowait)
        try:
            while await self._pull(inbox):
                pass
        finally:
            await subscription.stop()

    async def _pull(self, inbox: str) -> bool:
        """Write what comes with one pull; whether it ended as it should."""
        arguments = {"batch": PULL_MESSAGES, "expires": PULL_SECONDS * 1_000_000_000}
        self._bus.publish(NEXT, json.dumps(arguments).encode(), reply=inbox)
        for _ in range(PULL_MESSAGES):
            message = await self._next()
            if message is None:
                return False
            if not message.reply.startswith("$JS.ACK."):
                return (message.headers or {}).get("Status", "") == TIME_IS_UP
            self._take(message)
        return True

    async def _next(self) -> Message | None:
        try:
            return await asyncio.wait_for(self._arrived.get(), SILENCE_SECONDS)
        except TimeoutError:
            return None

    def _take(self, message: Message) -> None:
        # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
        sequence = int(message.reply.split(".")[-4])
        # What is not acknowledged in half a minute, because the disk was slow, comes again.
        if sequence > self._written:
            with contextlib.suppress(Malformed):
                self._logs.write(log_lines.decode(message.subject, message.payload))
            self._written = sequence
        self._notices.mended("write")
        self._bus.publish(message.reply, b"+ACK")
