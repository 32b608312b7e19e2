"""Who waits for news of which account: announcements on the bus, and a look every 30 seconds for those who idle."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Protocol

from qmail.bus.ports import Bus, BusDown, Subscription
from qmail.bus.talk import new_mail


class Listener(Protocol):
    """One connection."""

    def announce(self) -> None:
        """The account's mail has changed."""


class MailNotifier:
    """One a process. The bus tells of mail delivered and of what other sessions do, in this process or another.

    It is asked about the accounts that are here and no others: a delivery wakes only who has to do with it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listeners: dict[int, set[Listener]] = defaultdict(set)
        self._heard: dict[int, Subscription] = {}
        self._settling: dict[int, asyncio.Task[None]] = {}
        #: Accounts whose subscription failed to begin or to end; it is tried again.
        self._unsettled: set[int] = set()
        self._idle: list[set[Listener]] = [set() for _ in range(new_mail.LOOK_SECONDS)]
        self._second_of: dict[Listener, int] = {}
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._plan()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._settling.values():
            task.cancel()

    def join(self, uid: int, listener: Listener) -> None:
        """Tell this connection of an account's news."""
        self._listeners[uid].add(listener)
        self._settle(uid)

    def leave(self, uid: int, listener: Listener) -> None:
        self.idle_ends(listener)
        self._listeners[uid].discard(listener)
        if not self._listeners[uid]:
            del self._listeners[uid]
            self._settle(uid)

    async def settled(self) -> None:
        """Until the bus has been told of everybody who came and went."""
        while self._settling:
            await asyncio.wait(self._settling.values())

    def _settle(self, uid: int) -> None:
        if uid not in self._settling and (uid in self._listeners) != (uid in self._heard):
            self._settling[uid] = asyncio.get_running_loop().create_task(self._hear_or_stop(uid))

    async def _hear_or_stop(self, uid: int) -> None:
        """Bring the subscription into line with whether anybody listens, however often that changes meanwhile."""
        self._unsettled.discard(uid)
        try:
            while (uid in self._listeners) != (uid in self._heard):
                if uid in self._listeners:
                    self._heard[uid] = await new_mail.hear(self._bus, uid, self._on_new)
                else:
                    await self._heard.pop(uid).stop()
        except BusDown:
            self._unsettled.add(uid)
        finally:
            del self._settling[uid]

    def idle_begins(self, listener: Listener) -> None:
        """Announcements may be lost: look at intervals as well. Spread, so that not all look at once."""
        second = min(range(new_mail.LOOK_SECONDS), key=lambda number: len(self._idle[number]))
        self._idle[second].add(listener)
        self._second_of[listener] = second

    def idle_ends(self, listener: Listener) -> None:
        """No looking needed any more."""
        second = self._second_of.pop(listener, None)
        if second is not None:
            self._idle[second].discard(listener)

    def changed(self, uid: int, folder: bytes) -> None:
        """This process has changed a folder (its path below the home): tell everybody's idling clients."""
        new_mail.tell(self._bus.publish, uid, folder)

    def _on_new(self, uid: int) -> None:
        for listener in tuple(self._listeners.get(uid, ())):
            listener.announce()

    def _plan(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(1.0, self._look)

    def _look(self) -> None:
        self._turn = (self._turn + 1) % new_mail.LOOK_SECONDS
        for listener in tuple(self._idle[self._turn]):
            listener.announce()
        for uid in tuple(self._unsettled):
            self._settle(uid)
        self._plan()
