"""Threads that act as accounts: users cannot read each other, and nothing runs under the wrong identity."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qmail.accounts.identity import ActingPool, IdentityError, read_identity
from qmail.control.settings import SettingsError

needs_root = pytest.mark.root(reason="only root acts as others")


@dataclass(frozen=True)
class Who:
    uid: int
    gid: int


JONI, DIVA, ROOT = Who(2002, 2002), Who(2004, 2004), Who(0, 0)
ME = Who(os.getuid() or 2001, os.getgid() or 2001)


@pytest.fixture
def homes() -> Iterator[Path]:
    """Two homes of mode 0700 with a file of mode 0600 in each, below a directory that all may enter."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    for name, who in (("joni", JONI), ("diva", DIVA)):
        home = place / name
        home.mkdir(mode=0o700)
        (home / "mail").write_bytes(name.encode())
        (home / "mail").chmod(0o600)
        os.chown(home / "mail", who.uid, who.gid)
        os.chown(home, who.uid, who.gid)
    yield place
    shutil.rmtree(place)


def with_pool(work: Callable[[ActingPool], Awaitable[object]], *, per_user: bool = True, threads: int = 2) -> object:
    async def run() -> object:
        pool = ActingPool(per_user=per_user, threads=threads)
        try:
            return await work(pool)
        finally:
            pool.close()

    return asyncio.run(run())


@needs_root
def test_a_user_reads_the_own_file_and_no_other(homes: Path) -> None:
    async def work(pool: ActingPool) -> None:
        # One thread has been both, several times: nothing of the former identity may stay.
        for _ in range(3):
            assert await pool.run(JONI, (homes / "joni/mail").read_bytes) == b"joni"
            with pytest.raises(PermissionError):
                await pool.run(JONI, (homes / "diva/mail").read_bytes)
            assert await pool.run(DIVA, (homes / "diva/mail").read_bytes) == b"diva"
            with pytest.raises(PermissionError):
                await pool.run(DIVA, os.listdir, homes / "joni")

    with_pool(work, threads=1)


@needs_root
def test_a_file_that_is_made_belongs_to_the_user(homes: Path) -> None:
    with_pool(lambda pool: pool.run(JONI, (homes / "joni/new").write_bytes, b"x"))
    facts = (homes / "joni/new").stat()
    assert (facts.st_uid, facts.st_gid) == (JONI.uid, JONI.gid)


@needs_root
def test_a_group_of_root_opens_nothing(homes: Path) -> None:
    (homes / "diva").chmod(0o755)
    (homes / "diva/mail").chmod(0o640)
    os.chown(homes / "diva/mail", DIVA.uid, 0)

    with pytest.raises(PermissionError):
        with_pool(lambda pool: pool.run(JONI, (homes / "diva/mail").read_bytes))


@needs_root
def test_the_other_threads_keep_their_identity(homes: Path) -> None:
    with_pool(lambda pool: pool.run(JONI, os.getpid))
    assert (homes / "diva/mail").read_bytes() == b"diva"


@needs_root
def test_root_is_nobody_to_act_as() -> None:
    called: list[int] = []
    with pytest.raises(IdentityError):
        with_pool(lambda pool: pool.run(ROOT, called.append, 1))
    assert not called


@needs_root
def test_single_mode_is_refused_to_root() -> None:
    with pytest.raises(SettingsError, match="single"):
        ActingPool(per_user=False)


def test_another_mode_is_refused() -> None:
    with pytest.raises(SettingsError, match="IDENTITY is 'nobody'; expected per-user or single"):
        read_identity({"IDENTITY": "nobody"})


@pytest.mark.parametrize(("text", "per_user"), [(None, True), ("", True), ("per-user", True), ("single", False)])
def test_who_says_nothing_acts_as_each_account(text: str | None, per_user: bool) -> None:
    assert read_identity({} if text is None else {"IDENTITY": text}) is per_user


def test_a_machine_without_an_identity_per_thread_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "armv7l")
    with pytest.raises(SettingsError, match="no per-thread identity on armv7l; expected single"):
        ActingPool(per_user=True)


def test_what_a_call_raises_comes_to_the_caller() -> None:
    async def work(pool: ActingPool) -> None:
        with pytest.raises(ZeroDivisionError):
            await pool.run(ME, divmod, 1, 0)
        assert await pool.run(ME, divmod, 7, 2) == (3, 1)

    with_pool(work, per_user=os.geteuid() == 0)


def test_a_cancelled_wait_ends_only_when_the_call_has_ended() -> None:
    go_on, ended = threading.Event(), []

    def call() -> None:
        go_on.wait(10)
        ended.append(1)

    async def work(pool: ActingPool) -> None:
        task = asyncio.create_task(pool.run(ME, call))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended

    with_pool(work, per_user=os.geteuid() == 0)


def test_a_pool_answers_when_a_thread_is_free_and_hangs_nobody_when_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qmail.accounts.identity._CLOSE_SECONDS", 0.05)
    go_on = threading.Event()

    async def work(pool: ActingPool) -> None:
        await pool.answers()
        stuck = [asyncio.ensure_future(pool.run(ME, go_on.wait, 60)) for _ in range(2)]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await pool.answers()
        pool.close()
        go_on.set()
        await asyncio.gather(*stuck)

    with_pool(work, per_user=os.geteuid() == 0)


def test_many_calls_at_once_each_get_their_own_answer() -> None:
    async def work(pool: ActingPool) -> None:
        answers = await asyncio.gather(*(pool.run(ME, divmod, n, 7) for n in range(500)))
        assert answers == [divmod(n, 7) for n in range(500)]

    with_pool(work, per_user=os.geteuid() == 0)
