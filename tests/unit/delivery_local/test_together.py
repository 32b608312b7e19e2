"""Several deliveries to one account side by side: each whole, each durable, nothing done twice that serves all."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qmail import steps
from qmail.identity import ActingPool
from qmail.maildir.writer import MaildirError, store_steps
from qmail.steps import Shared, Steps, SyncedNames
from services.delivery.local import sync, together
from services.delivery.local.together import ENOUGH, GROUP, SIDE_BY_SIDE, Together, side_by_side
from tests.support.warp import run, until


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


def store_all(maildir: Path, names: list[bytes], known_as: bytes) -> list[together.Ending]:
    directory = os.open(maildir, os.O_PATH | os.O_DIRECTORY)
    try:
        return side_by_side(
            [store_steps(directory, name, [b"body of " + name], b"new/" + name, None, b"", known_as) for name in names]
        )
    finally:
        os.close(directory)


class Watch:
    """What was synced, in order: files by `sync_files` in their groups, directories by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[list[str]] = []
        self.names: list[str] = []
        self.fail: dict[str, OSError] = {}
        monkeypatch.setattr(together, "sync_files", self._sync_files)
        monkeypatch.setattr(steps.os, "fsync", self._fsync)

    def _sync_files(self, fds: list[int]) -> dict[int, OSError]:
        paths = {fd: os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in fds}
        self.files.append(list(paths.values()))
        return {fd: self.fail[path] for fd, path in paths.items() if path in self.fail}

    def _fsync(self, fd: int) -> None:
        self.names.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))


def test_the_files_of_a_group_are_synced_at_once_and_the_directory_once(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    assert store_all(maildir, [b"a", b"b", b"c"], bytes(maildir)) == [(True, None)] * 3
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"] and not os.listdir(maildir / "tmp")
    assert (maildir / "new" / "b").read_bytes() == b"body of b"
    assert watch.files == [["a", "b", "c"]] and watch.names == ["new"]


def test_without_a_name_for_the_directory_each_syncs_it_itself(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    store_all(maildir, [b"a", b"b"], b"")
    assert watch.names == ["new", "new"]


def test_one_that_fails_does_not_keep_the_others_from_arriving(maildir: Path) -> None:
    (maildir / "new" / "b").write_bytes(b"delivered before")
    endings = store_all(maildir, [b"a", b"b", b"no/such", b"c"], bytes(maildir))
    assert [result for result, _ in endings] == [True, False, None, True]
    assert [error is None for _, error in endings] == [True, True, False, True]
    assert isinstance(endings[2][1], MaildirError)
    assert (maildir / "new" / "b").read_bytes() == b"delivered before"
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"]


def test_a_file_that_cannot_be_synced_gets_no_name(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Watch(monkeypatch).fail["b"] = OSError(errno.EIO, "broken")
    (first, _), (_, error) = store_all(maildir, [b"a", b"b"], bytes(maildir))
    assert first is True and isinstance(error, MaildirError) and error.errno == errno.EIO
    assert os.listdir(maildir / "new") == ["a"] and not os.listdir(maildir / "tmp")


def test_when_the_directory_cannot_be_synced_none_of_them_counts_as_delivered(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SyncedNames) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(SyncedNames, "sync", broken)
    endings = store_all(maildir, [b"a", b"b"], bytes(maildir))
    assert all(isinstance(error, MaildirError) for _, error in endings)


def test_what_is_shared_is_made_once_and_ended_after_the_last(tmp_path: Path) -> None:
    order: list[str] = []

    def make() -> str:
        order.append("made")
        return "thing"

    def work(name: str) -> Steps[str]:
        thing = yield Shared("key", make, lambda thing: order.append(f"ended {thing}"))
        yield SyncedNames(-100, bytes(tmp_path), b"")
        order.append(name)
        return f"{name} has {thing}"

    assert side_by_side([work("a"), work("b")]) == [("a has thing", None), ("b has thing", None)]
    assert order == ["made", "a", "b", "ended thing"]


def test_what_cannot_be_made_is_refused_to_each_that_asks() -> None:
    def make() -> None:
        raise FileNotFoundError

    def work() -> Steps[None]:
        yield Shared("key", make, lambda _: None)

    assert [type(error) for _, error in side_by_side([work(), work()])] == [FileNotFoundError] * 2


# Files at once.


@pytest.mark.parametrize("count", [0, 1, 2, 16, 40])
def test_many_files_are_synced(tmp_path: Path, count: int) -> None:
    fds = [os.open(tmp_path / str(n), os.O_WRONLY | os.O_CREAT) for n in range(count)]
    try:
        for fd in fds:
            os.write(fd, b"x" * 3000)
        assert sync.sync_files(fds) == {}
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_cannot_be_synced_is_named_and_the_others_are(tmp_path: Path, place: int) -> None:
    reader, writer = os.pipe()  # no file: fsync(2) fails with EINVAL
    fds = [os.open(tmp_path / str(n), os.O_WRONLY | os.O_CREAT) for n in range(2)]
    try:
        failed = sync.sync_files([*fds[:place], writer, *fds[place:]])
        assert {fd: error.errno for fd, error in failed.items()} == {writer: errno.EINVAL}
    finally:
        for fd in (*fds, reader, writer):
            os.close(fd)


def test_a_kernel_that_takes_no_requests_syncs_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_context", lambda: None)
    synced: list[int] = []
    monkeypatch.setattr(sync.os, "fsync", synced.append)
    assert sync.sync_files([7, 8, 9]) == {}
    assert synced == [7, 8, 9]


class Requests:
    """A context whose operations end as told."""

    def __init__(self, results: list[int | None]) -> None:
        self._results = results
        self._submitted: list[object] = []

    def submit(self, *operations: object) -> int:
        self._submitted = list(operations)
        return len(operations)

    def process_events(self, most: int, least: int, timeout: int) -> int:
        while self._results:
            operation, result = self._submitted.pop(0), self._results.pop(0)
            if result is not None:
                operation.ended(result)  # type: ignore[attr-defined]
        raise SystemError("interrupted")


class Operation:
    def set_callback(self, ended: Callable[[int], None]) -> None:
        self.ended = ended

    @classmethod
    def fsync(cls, fd: int) -> Operation:
        return cls()


@pytest.mark.parametrize(
    ("result", "number"),
    [((1 << 64) - errno.EIO, errno.EIO), ((1 << 64) - errno.ENOSPC, errno.ENOSPC), (None, errno.EIO)],
)
def test_a_failure_of_the_disk_is_never_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch, result: int | None, number: int
) -> None:
    monkeypatch.setattr(sync, "_context", lambda: Requests([0, result]))
    monkeypatch.setattr(sync.linux_aio, "Operation", Operation)
    monkeypatch.setattr(sync.os, "fsync", lambda fd: pytest.fail("a second fsync would hide the failure"))
    assert {fd: error.errno for fd, error in sync.sync_files([7, 8]).items()} == {8: number}


# Gathering.


class Account:
    uid = os.getuid() or 2001
    gid = os.getgid() or 2001


class Threads:
    """A pool that keeps the groups until they are let go."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, asyncio.Future[None]]] = []

    async def run(self, account: object, fn: Callable[..., object], works: list[Callable[[], Steps[object]]]) -> object:
        gate = asyncio.get_running_loop().create_future()
        self.groups.append((len(works), gate))
        await gate
        return fn(works)

    def let_go(self, place: int) -> None:
        self.groups[place][1].set_result(None)

    @property
    def sizes(self) -> list[int]:
        return [size for size, _ in self.groups]


def nothing() -> Steps[str]:
    return "done"
    yield 0


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def gathering(test: Callable[[Threads, Callable[[int], list[asyncio.Task[str]]]], object]) -> None:
    async def main() -> None:
        threads = Threads()
        group = Together(threads)  # type: ignore[arg-type]

        def ask(count: int) -> list[asyncio.Task[str]]:
            return [asyncio.create_task(group.run(Account, nothing)) for _ in range(count)]

        await test(threads, ask)  # type: ignore[misc]
        await until(lambda: not group._gatherings)  # an account at rest is forgotten

    run(main())


async def finish(threads: Threads, tasks: list[asyncio.Task[str]]) -> None:
    """Let everything go as it comes, until all is done."""

    def done() -> bool:
        for _, gate in threads.groups:
            if not gate.done():
                gate.set_result(None)
        return all(task.done() for task in tasks)

    await until(done)
    assert [task.result() for task in tasks] == ["done"] * len(tasks)


def test_an_account_at_rest_is_served_at_once_and_whoever_came_in_the_same_turn_with_it() -> None:
    async def test(threads: Threads, ask: Callable[[int], list[asyncio.Task[str]]]) -> None:
        tasks = ask(3)
        await turns()
        assert threads.sizes == [3]
        await finish(threads, tasks)

    gathering(test)


def test_a_few_that_come_soon_after_wait_for_company() -> None:
    async def test(threads: Threads, ask: Callable[[int], list[asyncio.Task[str]]]) -> None:
        tasks = ask(1)
        await turns()
        threads.let_go(0)
        tasks += ask(2)
        await turns()
        assert threads.sizes == [1]
        tasks += ask(3)
        await until(lambda: len(threads.groups) == 2)
        assert threads.sizes == [1, 5]
        await finish(threads, tasks)

    gathering(test)


def test_enough_of_them_go_at_once_but_never_more_than_two_groups() -> None:
    async def test(threads: Threads, ask: Callable[[int], list[asyncio.Task[str]]]) -> None:
        tasks = ask(1)
        await turns()
        tasks += ask(ENOUGH - 1)
        await turns()
        assert threads.sizes == [1]
        tasks += ask(1)
        await turns()
        assert threads.sizes == [1, ENOUGH]
        tasks += ask(GROUP + 3)
        await turns()
        assert len(threads.groups) == SIDE_BY_SIDE
        threads.let_go(0)
        await turns()
        assert threads.sizes == [1, ENOUGH, GROUP]
        await finish(threads, tasks)

    gathering(test)


def test_a_thread_that_cannot_act_as_the_account_fails_all_of_the_group() -> None:
    class Broken:
        async def run(self, *_: object) -> object:
            raise PermissionError

    async def main() -> None:
        group = Together(Broken())  # type: ignore[arg-type]
        for outcome in await asyncio.gather(*(group.run(Account(), nothing) for _ in range(3)), return_exceptions=True):
            assert isinstance(outcome, PermissionError)

    asyncio.run(main())


def test_real_threads_do_it() -> None:
    async def main() -> None:
        pool = ActingPool(per_user=os.geteuid() == 0, threads=2)
        try:
            group = Together(pool)
            assert await asyncio.gather(*(group.run(Account(), nothing) for _ in range(100))) == ["done"] * 100
        finally:
            pool.close()

    asyncio.run(main())
