"""Log lines from the bus into multilog directories: /var/log/qmail/current and its like.

A line is acknowledged when it is in the file, so that what admin misses while it is away comes later.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
from pathlib import Path

from qmail.bus import subjects
from qmail.bus.ports import Bus, Message
from qmail.message.printable import printable
from services.admin.multilog import Multilog

PULL = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.EVENTS}.{subjects.LOG_CONSUMER}"
PULL_MESSAGES = 256
PULL_SECONDS = 30
# After this long without a word the pull was lost; one that is lost with the connection is not waited for.
SILENCE_SECONDS = PULL_SECONDS + 5
TIME_IS_UP = "408"
RETRY_SECONDS = 1.0
MAX_LOGS = 32
MAX_LINE_CHARACTERS = 4200

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_STAMP = re.compile(r"@[0-9a-f]{24} ")


def clean_lines(payload: bytes) -> str:
    """Whole stamped lines of printable characters: what a role sends is not believed. Others are dropped."""
    lines = payload.decode("utf-8", "surrogateescape").split("\n")
    return "".join([printable(line)[:MAX_LINE_CHARACTERS] + "\n" for line in lines if _STAMP.match(line)])


class Logger:
    """The only reader of EVENTS/log."""

    def __init__(self, bus: Bus, directory: Path, inbox_prefix: str = "_INBOX_admin") -> None:
        self._bus, self._directory = bus, directory
        self._inbox = f"{inbox_prefix}.log.{secrets.token_hex(8)}"
        self._logs: dict[str, Multilog] = {}
        self._pulls = 0
        self._outstanding = 0
        self._watch: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to read. Raises BusDown."""
        await self._bus.subscribe(f"{self._inbox}.*", self._receive)
        self._bus.on_reconnected(self._pull)
        self._pull()

    def close(self) -> None:
        """Read no more and sync what is written."""
        if self._watch is not None:
            self._watch.cancel()
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    def _pull(self) -> None:
        arguments = {"batch": PULL_MESSAGES, "expires": PULL_SECONDS * 1_000_000_000}
        self._outstanding = PULL_MESSAGES
        self._pulls += 1
        self._bus.publish(PULL, json.dumps(arguments).encode(), reply=self._reply)
        self._keep_watch()

    @property
    def _reply(self) -> str:
        """Of the last pull alone: one that was taken for lost and ends after all must not be renewed as well."""
        return f"{self._inbox}.{self._pulls}"

    def _keep_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(SILENCE_SECONDS, self._pull)

    def _receive(self, message: Message) -> None:
        if not message.reply.startswith("$JS.ACK."):
            if message.subject == self._reply:
                self._pull_ended((message.headers or {}).get("Status", ""))
            return
        try:
            self._write(message)
        except OSError as error:
            # Not acknowledged: it comes again when there is room.
            print(f"admin: log {message.subject}: {error}", file=sys.stderr, flush=True)
            return
        self._bus.publish(message.reply, b"+ACK")
        self._outstanding -= 1
        if self._outstanding == 0:
            self._pull()

    def _pull_ended(self, status: str) -> None:
        if status == TIME_IS_UP:
            self._pull()
        elif self._watch is not None:
            # Refused, or the consumer is not there: the next one at once would be refused as well.
            self._watch.cancel()
            self._watch = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._pull)

    def _write(self, message: Message) -> None:
        name = message.subject.removeprefix("event.log.")
        lines = clean_lines(message.payload)
        if not lines or not _NAME.fullmatch(name):
            return
        if name not in self._logs:
            if len(self._logs) >= MAX_LOGS:
                return
            self._logs[name] = Multilog(self._directory / name)
        self._logs[name].write(lines)
