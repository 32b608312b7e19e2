"""From which networks an account has logged in during the last 30 days: kept on the bus, so that it survives a restart.

`known.<digest>` in the stream LOGINS, which forgets by itself what is older or finds no room. The digest is keyed with
the role's own secret: who reads the stream learns neither accounts nor addresses. Lost records, a bus that does not
answer and other credentials mean "unknown", which costs a place among the strangers and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from qmail.accounts.assign import Account
from qmail.bus import subjects
from qmail.bus.ports import AlreadyStored, Bus, Record, RecordTooLarge, TemporaryError, WrongSequence

KNOWN_SECONDS: Final = 30 * 86400.0
#: A log-in renews a record that is older.
RENEW_SECONDS: Final = 86400.0
#: How long a network that was unknown is not asked for again: another auth may have learnt of it.
UNKNOWN_SECONDS: Final = 60.0
#: A bus that takes longer does not know.
ASK_SECONDS: Final = 2.0
MAX_ENTRIES: Final = 10_000


class KnownNetworks:
    """Call in the loop's thread. `key` is the same at every start, and nobody else's."""

    def __init__(self, bus: Bus, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._bus = bus
        self._key = hashlib.sha256(b"known networks\0" + key).digest()
        self._clock = clock
        #: Digest -> known until, or asked in vain until (negative).
        self._until: OrderedDict[str, float] = OrderedDict()
        self._storing: set[asyncio.Task[None]] = set()

    def _digest(self, account: Account, network: str) -> str:
        # The uid, which is never used twice: who takes over a name does not take over its networks.
        text = b"%d\0%s\0%s" % (account.uid, account.name, network.encode())
        return hmac.digest(self._key, text, hashlib.sha256).hex()

    async def knows(self, account: Account, network: str) -> bool:
        """Whether the account has logged in from there."""
        digest, now = self._digest(account, network), self._clock()
        until = self._until.get(digest)
        if until is not None and abs(until) > now:
            return until > 0
        until = await self._read(digest)
        self._note(digest, until if until > now else -(now + UNKNOWN_SECONDS))
        return until > now

    async def _read(self, digest: str) -> float:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                record = await self._bus.last(subjects.LOGINS, subjects.known(digest))
            return float(json.loads(record.payload)["until"]) if record is not None else 0.0
        except (TemporaryError, TimeoutError, ValueError, KeyError, TypeError):
            return 0.0

    def remember(self, account: Account, network: str) -> None:
        """It has now; told to the bus in the background, once a day."""
        digest, until = self._digest(account, network), self._clock() + KNOWN_SECONDS
        if self._until.get(digest, 0.0) > until - RENEW_SECONDS:
            return
        self._note(digest, until)
        task = asyncio.get_running_loop().create_task(self._store(digest, until))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _store(self, digest: str, until: float) -> None:
        payload = json.dumps({"v": 1, "until": int(until)}).encode()
        try:
            await self._bus.store(Record(subjects.known(digest), payload))
        except (TemporaryError, AlreadyStored, WrongSequence, RecordTooLarge):
            self._until.pop(digest, None)  # the next log-in tells it again

    def _note(self, digest: str, until: float) -> None:
        self._until[digest] = until
        self._until.move_to_end(digest)
        if len(self._until) > MAX_ENTRIES:
            self._until.popitem(last=False)

    def close(self) -> None:
        """What is still being stored is given up."""
        for task in self._storing:
            task.cancel()
