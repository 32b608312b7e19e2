"""Reading a pull consumer: one outstanding pull of many messages, renewed when it is used up, or when it is asked for.

The consumer does not acknowledge (the scheduler's records say what is done); its position is set by a reset
(ADR-60), at the start to the stream's beginning, after a lost connection to what was last seen.

Why: docs/decisions/0003-consumer-reset.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from qmail.bus.ports import BusDown, Stored

PULL_MESSAGES = 512
PULL_SECONDS = 30
# After this long without a word from the server the pull is taken for lost.
SILENCE_SECONDS = PULL_SECONDS + 10
RETRY_SECONDS = 0.5


class PullLoop:
    """One consumer being read; callbacks run in order of the sequence."""

    def __init__(
        self,
        *,
        stream: str,
        consumer: str,
        inbox: str,
        send: Callable[[str, bytes], None],
        reset: Callable[[str, str, int], Awaitable[None]],
        callback: Callable[[Stored], None],
        caught_up: Callable[[], None],
        last_sequence: Callable[[], Awaitable[int]],
        after: int,
        paced: bool,
    ) -> None:
        self._stream, self._consumer, self._inbox = stream, consumer, inbox
        self._send, self._reset, self._read_last = send, reset, last_sequence
        self._callback, self._caught_up = callback, caught_up
        self._last_sequence = after
        self._paced = paced
        self._delivered = 0  # the consumer's own count, which begins anew with each reset
        self._fresh = True  # a reset was asked for and its first record has not come
        self._outstanding = 0
        self._told = False
        self._stopped = False
        self._resuming: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin. Raises BusDown."""
        await self._reset(self._stream, self._consumer, self._last_sequence + 1)
        self._pull(no_wait=True)

    async def stop(self) -> None:
        self._stopped = True
        for handle in (self._watch, self._resuming, self._checking):
            if handle is not None:
                handle.cancel()

    def go(self) -> None:
        if not self._stopped and self._outstanding == 0:
            self._pull(no_wait=not self._told)

    def resume(self) -> None:
        """The connection was lost, or a pull, or a record: go on after what was seen last."""
        if not self._stopped and (self._resuming is None or self._resuming.done()):
            self._resuming = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        while not self._stopped:
            # Before the answer: the first records may overtake it. Only the reset's first record goes on from here.
            self._fresh, self._delivered = True, -1
            try:
                await self._reset(self._stream, self._consumer, self._last_sequence + 1)
            except BusDown:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._pull(no_wait=not self._told)
            return

    def _pull(self, *, no_wait: bool = False) -> None:
        """Ask for messages: without waiting until caught up, then with a wait, so that new ones come at once."""
        arguments: dict[str, object] = {"batch": PULL_MESSAGES}
        if no_wait:
            arguments["no_wait"] = True
        else:
            arguments["expires"] = PULL_SECONDS * 1_000_000_000
        self._outstanding = PULL_MESSAGES
        self._send(f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}", json.dumps(arguments).encode())
        self._keep_watch()

    def _keep_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(SILENCE_SECONDS, self.resume)

    def receive(self, subject: str, reply: str, payload: bytes, headers: Mapping[str, str] | None) -> None:
        """A record, or a word about the pull itself (no reply subject, a Status header)."""
        if self._stopped:
            return
        if not reply.startswith("$JS.ACK."):
            self._status((headers or {}).get("Status", ""))
            return
        tokens = reply.split(".")
        sequence, delivered = int(tokens[-4]), int(tokens[-3])
        self._outstanding -= 1
        self._take(Stored(subject, sequence, payload, headers or {}), delivered)
        if self._outstanding == 0:
            if not self._paced:
                self._pull(no_wait=not self._told)
            elif self._watch is not None:
                self._watch.cancel()

    def _take(self, stored: Stored, delivered: int) -> None:
        if delivered != self._delivered + 1 and not (self._fresh and delivered == 1):
            # Left over from before a reset; or somebody else got what is missing, a scheduler that has lost its
            # lease and does not know it yet.
            if stored.sequence > self._last_sequence:
                self.resume()
            return
        self._delivered = delivered
        self._fresh = self._fresh and delivered != 1
        # Records of a pull from before a reset may still come: they were or will be seen.
        if stored.sequence > self._last_sequence:
            self._last_sequence = stored.sequence
            self._callback(stored)

    def _status(self, status: str) -> None:
        if status == "100":
            self._keep_watch()
        elif status in ("404", "408"):
            if status == "404" and not self._told:
                self._told = True
                self._caught_up()
            self._pull()
            if status == "408":
                self._checking = asyncio.create_task(self._check_end())
        elif status == "409":
            # The server ended the pull for a reason of its own (a reset, a change of leader): not at once again.
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._pull_again)

    async def _check_end(self) -> None:
        """After a pull without a record: whether what the stream has last has come to us."""
        try:
            if await self._read_last() > self._last_sequence and not self._stopped:
                self.resume()
        except BusDown:
            return  # resumed when the connection is back

    def _pull_again(self) -> None:
        if not self._stopped:
            self._pull(no_wait=not self._told)
