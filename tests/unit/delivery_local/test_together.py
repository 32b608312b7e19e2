"""Deliveries side by side: each whole, each durable, each as its account, nothing done twice that serves all."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from caio import linux_aio

from qmail.accounts.identity import ActingPool, Identity
from services.delivery.local import sync, together
from services.delivery.local.maildir_writer import MaildirError, store_steps
from services.delivery.local.steps import Shared, Steps
from services.delivery.local.together import (
    ENOUGH,
    GROUP,
    MOST_GROUPS,
    PATIENCE_SECONDS,
    SIDE_BY_SIDE,
    Ending,
    Together,
    Work,
    side_by_side,
)
from tests.support.warp import run, time_passes, until


class Account:
    """Somebody; as root not root."""

    def __init__(self, uid: int = os.getuid() or 2001) -> None:
        self.uid = self.gid = uid


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def directory(maildir: Path) -> Iterator[int]:
    fd = os.open(maildir, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def go(*works: Callable[[], Steps[object]]) -> list[Ending]:
    return side_by_side(lambda account: None, [Work(Account(), work) for work in works])


def store_all(directory: int, names: list[bytes], known_as: bytes) -> list[Ending]:
    def storing(name: bytes) -> Callable[[], Steps[bool]]:
        return lambda: store_steps(directory, name, [b"body of " + name], b"new/" + name, None, b"", known_as)

    return go(*map(storing, names))


class Watch:
    """What was synced together, round by round."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds: list[list[str]] = []
        self.fail: dict[str, OSError] = {}
        monkeypatch.setattr(together, "sync_files", self._sync_files)

    def _sync_files(self, fds: list[int]) -> dict[int, OSError]:
        paths = {fd: os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in fds}
        if paths:
            self.rounds.append([paths[fd] for fd in fds])
        return {fd: self.fail[path] for fd, path in paths.items() if path in self.fail}


def test_the_files_of_a_group_are_synced_at_once_and_the_directory_once(
    maildir: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    assert store_all(directory, [b"a", b"b", b"c"], bytes(maildir)) == [(True, None)] * 3
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"] and not os.listdir(maildir / "tmp")
    assert (maildir / "new" / "b").read_bytes() == b"body of b"
    assert watch.rounds == [["a", "b", "c"], ["new"]]


def test_without_a_name_for_the_directory_each_syncs_it_itself(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    store_all(directory, [b"a", b"b"], b"")
    assert watch.rounds == [["a", "b"], ["new", "new"]]


def test_one_that_fails_does_not_keep_the_others_from_arriving(maildir: Path, directory: int) -> None:
    (maildir / "new" / "b").write_bytes(b"delivered before")
    endings = store_all(directory, [b"a", b"b", b"no/such", b"c"], bytes(maildir))
    assert [result for result, _ in endings] == [True, False, None, True]
    assert [error is None for _, error in endings] == [True, True, False, True]
    assert isinstance(endings[2][1], MaildirError)
    assert (maildir / "new" / "b").read_bytes() == b"delivered before"
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"]


def test_a_file_that_cannot_be_synced_gets_no_name(
    maildir: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watch(monkeypatch).fail["b"] = OSError(errno.EIO, "broken")
    (first, _), (_, error) = store_all(directory, [b"a", b"b"], bytes(maildir))
    assert first is True and isinstance(error, MaildirError) and error.errno == errno.EIO
    assert os.listdir(maildir / "new") == ["a"] and not os.listdir(maildir / "tmp")


def test_when_the_directory_cannot_be_synced_none_of_them_counts_as_delivered(
    maildir: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watch(monkeypatch).fail["new"] = OSError(errno.EIO, "broken")
    endings = store_all(directory, [b"a", b"b"], bytes(maildir))
    assert all(isinstance(error, MaildirError) for _, error in endings)


def test_what_is_shared_is_made_once_and_ended_after_the_last() -> None:
    order: list[str] = []

    def make() -> str:
        order.append("made")
        return "thing"

    def work(name: str, waits: bool) -> Steps[str]:
        thing = yield Shared("key", make, lambda thing: order.append(f"ended {thing}"))
        if waits:
            yield os.open("/", os.O_RDONLY)
        order.append(name)
        return f"{name} has {thing}"

    endings = go(lambda: work("a", True), lambda: work("b", False))
    assert endings == [("a has thing", None), ("b has thing", None)]
    assert order == ["made", "b", "a", "ended thing"]


def test_what_cannot_be_made_is_refused_to_each_that_asks() -> None:
    def make() -> None:
        raise FileNotFoundError

    def work() -> Steps[None]:
        yield Shared("key", make, lambda _: None)

    assert [type(error) for _, error in go(work, work)] == [FileNotFoundError] * 2


def test_each_step_is_done_as_its_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "sync_files", lambda fds: {})
    now: list[int] = []
    seen: list[tuple[int, int]] = []

    def become(account: Identity) -> None:
        now[:] = [account.uid]

    def work(uid: int) -> Steps[None]:
        for _ in range(3):
            seen.append((uid, now[0]))
            yield 7

    side_by_side(become, [Work(Account(uid), lambda uid=uid: work(uid)) for uid in (2001, 2002, 2003)])  # type: ignore[misc]
    assert len(seen) == 9 and all(uid == acting for uid, acting in seen)


def test_who_cannot_be_acted_as_fails_alone() -> None:
    def become(account: Identity) -> None:
        if account.uid == 2002:
            raise PermissionError

    endings = side_by_side(become, [Work(Account(uid), nothing) for uid in (2001, 2002, 2003)])
    assert [result for result, _ in endings] == ["done", None, "done"]
    assert isinstance(endings[1][1], PermissionError)


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
    monkeypatch.setattr(os, "fsync", synced.append)
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
    monkeypatch.setattr(linux_aio, "Operation", Operation)
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("a second fsync would hide the failure"))
    assert {fd: error.errno for fd, error in sync.sync_files([7, 8]).items()} == {8: number}


# Gathering.


class Threads:
    """A pool that keeps the groups until they are let go."""

    def __init__(self) -> None:
        self.groups: list[tuple[list[Work], asyncio.Future[None]]] = []

    async def run_as_several(self, fn: Callable[..., object], works: list[Work]) -> object:
        gate = asyncio.get_running_loop().create_future()
        self.groups.append((works, gate))
        await gate
        return fn(lambda account: None, works)

    def let_go(self, place: int) -> None:
        self.groups[place][1].set_result(None)

    @property
    def sizes(self) -> list[int]:
        return [len(works) for works, _ in self.groups]


def nothing() -> Steps[str]:
    return "done"
    yield 0


Tasks = list[asyncio.Task[str]]
Ask = Callable[..., Tasks]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def gathering(test: Callable[[Threads, Ask], object]) -> None:
    async def main() -> None:
        threads = Threads()
        group = Together(threads)  # type: ignore[arg-type]

        def ask(count: int, uid: int = 2001) -> Tasks:
            return [asyncio.create_task(group.run(Account(uid), nothing)) for _ in range(count)]

        await test(threads, ask)  # type: ignore[misc]

    run(main())


async def finish(threads: Threads, tasks: Tasks) -> None:
    """Let everything go as it comes, until all is done."""

    def done() -> bool:
        for _, gate in threads.groups:
            if not gate.done():
                gate.set_result(None)
        return all(task.done() for task in tasks)

    await until(done)
    assert [task.result() for task in tasks] == ["done"] * len(tasks)


def test_at_rest_work_begins_at_once_and_whoever_came_in_the_same_turn_with_it() -> None:
    async def test(threads: Threads, ask: Ask) -> None:
        tasks = [*ask(2, 2002), *ask(1, 2001), *ask(1, 2002)]
        await turns()
        assert [[work.account.uid for work in works] for works, _ in threads.groups] == [[2001, 2002, 2002, 2002]]
        await finish(threads, tasks)

    gathering(test)


def test_a_few_that_come_soon_after_wait_for_company() -> None:
    async def test(threads: Threads, ask: Ask) -> None:
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


def test_enough_of_them_go_at_once_but_no_more_than_two_groups_without_need() -> None:
    async def test(threads: Threads, ask: Ask) -> None:
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


def test_more_than_a_group_at_rest_begins_at_once_as_well() -> None:
    async def test(threads: Threads, ask: Ask) -> None:
        tasks = ask(GROUP + ENOUGH)
        await turns()
        assert threads.sizes == [GROUP, ENOUGH]
        await finish(threads, tasks)

    gathering(test)


def test_groups_that_hang_do_not_keep_the_others_for_ever() -> None:
    async def test(threads: Threads, ask: Ask) -> None:
        tasks = ask(GROUP * 2)
        await turns()
        assert len(threads.groups) == SIDE_BY_SIDE
        for count in range(SIDE_BY_SIDE + 1, MOST_GROUPS + 1):
            tasks += ask(1)
            await time_passes(PATIENCE_SECONDS * 3)
            assert len(threads.groups) == count
        tasks += ask(1)
        await time_passes(PATIENCE_SECONDS * 20)
        assert len(threads.groups) == MOST_GROUPS, "threads are left for questions"
        await finish(threads, tasks)

    gathering(test)


def test_a_pool_that_fails_fails_all_of_the_group() -> None:
    class Broken:
        async def run_as_several(self, *_: object) -> object:
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
            uids = (2001, 2002, 2003) if os.geteuid() == 0 else (os.getuid(),)
            works = [group.run(Account(uids[n % len(uids)]), nothing) for n in range(100)]
            assert await asyncio.gather(*works) == ["done"] * 100
        finally:
            pool.close()

    asyncio.run(main())
