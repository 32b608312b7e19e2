"""Who is told of what, what the role refuses to start with, and what it does by the clock."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from qmail.accounts.identity import ActingPool
from qmail.bus.ports import BusDown, Message
from qmail.bus.talk.new_mail import LOOK_SECONDS
from qmail.control.settings import SettingsError
from qmail.door.admission import Budget
from services.imap.door import Door, keep_bounded
from services.imap.mail_notifier import MailNotifier
from services.imap.settings import read_settings
from services.imap.store.folders import Folders
from tests.support import warp
from tests.support.memory_bus import MemoryBus, MemorySubscription


class Client:
    """Remembers when it was told."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def announce(self) -> None:
        self.told.append(asyncio.get_running_loop().time())


async def told(client: Client, times: int) -> None:
    await warp.until(lambda: len(client.told) >= times, seconds=5)


def test_an_announcement_reaches_the_account_s_sessions_in_every_process_and_nobody_else() -> None:
    async def scenario() -> None:
        bus = MemoryBus()
        here, there = MailNotifier(bus), MailNotifier(bus)
        joni, joni_there, ari = Client(), Client(), Client()
        here.join(2001, joni)
        there.join(2001, joni_there)
        here.join(2002, ari)
        await here.settled()
        await there.settled()
        here.changed(2001, b"Maildir")
        await told(joni, 1)
        await told(joni_there, 1)
        bus.publish("new.abc", b"")
        there.leave(2001, joni_there)
        bus.publish("new.2001", b"Maildir")
        bus.publish("new.2002", b"Maildir")
        await told(ari, 1)
        assert (len(joni.told), len(joni_there.told), len(ari.told)) == (2, 1, 1)

    warp.run(scenario())


class CountingBus(MemoryBus):
    """Knows what is listened to, can fail as a bus that is away, and can be held while a subscription begins."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> MemorySubscription:
        self.asked.set()
        await self.free.wait()
        if self.away:
            raise BusDown("away")
        return await super().subscribe(subject, callback, group)

    @property
    def patterns(self) -> list[str]:
        return sorted(subscription.pattern for subscription in self._subscriptions)


def test_the_bus_is_asked_about_the_accounts_that_are_here_and_no_others() -> None:
    async def scenario() -> None:
        bus = CountingBus()
        notifier = MailNotifier(bus)
        first, second, ari = Client(), Client(), Client()
        notifier.join(2001, first)
        notifier.join(2001, second)
        notifier.join(2002, ari)
        await notifier.settled()
        assert bus.patterns == ["new.2001", "new.2002"]
        notifier.leave(2001, first)
        notifier.leave(2002, ari)
        await notifier.settled()
        assert bus.patterns == ["new.2001"]
        notifier.leave(2001, second)
        notifier.join(2001, first)
        notifier.leave(2001, first)
        bus.free.clear()
        bus.asked.clear()
        notifier.join(2002, ari)
        await bus.asked.wait()
        notifier.leave(2002, ari)
        bus.free.set()
        await notifier.settled()
        assert bus.patterns == [], "who leaves while the subscription begins ends it"

    warp.run(scenario())


def test_a_bus_that_is_away_at_the_login_is_asked_again() -> None:
    async def scenario() -> None:
        bus = CountingBus()
        notifier = MailNotifier(bus)
        notifier.start()
        bus.away = True
        notifier.join(2001, Client())
        await notifier.settled()
        assert bus.patterns == []
        bus.away = False
        await warp.until(lambda: bus.patterns == ["new.2001"], seconds=LOOK_SECONDS)
        notifier.stop()

    warp.run(scenario())


def test_who_idles_is_made_to_look_once_in_half_a_minute_without_any_announcement() -> None:
    async def scenario() -> None:
        notifier = MailNotifier(MemoryBus())
        clients = [Client() for _ in range(90)]
        for client in clients:
            notifier.idle_begins(client)
        notifier.start()
        await warp.until(lambda: all(client.told for client in clients), seconds=LOOK_SECONDS + 1)
        seconds = Counter(round(client.told[0]) for client in clients)
        assert len(seconds) == LOOK_SECONDS and set(seconds.values()) == {3}, "spread over the time"
        notifier.idle_ends(clients[0])
        await warp.until(lambda: all(len(client.told) == 2 for client in clients[1:]), seconds=LOOK_SECONDS + 1)
        assert len(clients[0].told) == 1
        assert all(round(client.told[1] - client.told[0]) == LOOK_SECONDS for client in clients[1:])
        notifier.stop()

    warp.run(scenario())


def test_defaults(tmp_path: Path) -> None:
    settings = read_settings({"QMAIL_DIR": str(tmp_path)})
    assert [(listener.port, listener.tls) for listener in settings.listeners] == [(143, False), (993, True)]
    assert settings.budget == Budget(1000, 20)


def test_settings(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "concurrencyimap").write_text("40\n")
    environ = {"QMAIL_DIR": str(tmp_path), "IMAP_LISTEN": "127.0.0.1:2143,127.0.0.1:2993/tls", "PROCESSES": "3"}
    settings = read_settings(environ)
    assert [listener.tls for listener in settings.listeners] == [False, True]
    assert settings.budget == Budget(40, 20)
    assert all(text.startswith(b"* BYE") for text in Door.refusals.values())


@pytest.mark.parametrize(("name", "value"), [("PROCESSES", "0"), ("PROCESSES", "viele"), ("IMAP_LISTEN", "143")])
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"QMAIL_DIR": str(tmp_path), name: value})


def test_the_cache_is_swept_every_hour_whatever_a_sweep_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[tuple[float, object]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def at_once(_: None, accounts: Callable[[Path], object], *what: object) -> asyncio.Future[None]:
            swept.append((loop.time(), what))
            done = loop.create_future()
            done.set_exception(OSError(13, "Permission denied"))
            return done

        monkeypatch.setattr(loop, "run_in_executor", at_once)
        pool = ActingPool(per_user=os.geteuid() == 0, threads=1)
        folders = Folders(watched=False)
        task = asyncio.create_task(keep_bounded(Path("cache"), pool, folders))
        await warp.until(lambda: len(swept) == 3, seconds=10_000)
        task.cancel()
        pool.close()
        folders.close()

    warp.run(scenario())
    assert [round(when) for when, _ in swept] == [0, 3600, 7200]
    assert swept[0][1] == (Path("cache"),)
