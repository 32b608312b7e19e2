from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from qmail.role.health import FILE, Rhythm, keep_watch

QUICK = Rhythm(interval_seconds=0.001, check_seconds=0.01, give_up_seconds=0.02)


def watch_until_it_ends(run: Path, check: object, rhythm: Rhythm = QUICK) -> bool:
    ended: list[bool] = []

    async def main() -> None:
        await asyncio.wait_for(keep_watch(run, check, rhythm=rhythm, end=lambda: ended.append(True)), 5)  # type: ignore[arg-type]

    asyncio.run(main())
    return bool(ended)


def test_a_role_able_to_work_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        checked = asyncio.Event()
        seen: list[bool] = []

        async def check() -> None:
            seen.append((tmp_path / FILE).exists())
            if len(seen) == 2:
                checked.set()

        task = asyncio.create_task(keep_watch(tmp_path, check, rhythm=QUICK))
        await asyncio.wait_for(checked.wait(), 60)
        task.cancel()
        assert seen[:2] == [False, True]

    asyncio.run(main())


def test_a_role_that_cannot_work_for_long_ends_itself(tmp_path: Path) -> None:
    async def check() -> None:
        raise ConnectionError("the bus is away")

    assert watch_until_it_ends(tmp_path, check)
    assert not (tmp_path / FILE).exists()


def test_a_check_that_hangs_counts_as_failed(tmp_path: Path) -> None:
    async def check() -> None:
        await asyncio.Event().wait()

    assert watch_until_it_ends(tmp_path, check)


def test_a_loop_that_hangs_is_ended_by_the_watchdog(tmp_path: Path) -> None:
    program = """
import asyncio, sys, time
from pathlib import Path
from qmail.role.health import Rhythm, keep_watch

async def check():
    time.sleep(600)

asyncio.run(keep_watch(Path(sys.argv[1]), check, rhythm=Rhythm(hung_seconds=1)))
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, timeout=60)
    assert ended.returncode == 1
    assert b"in check" in ended.stderr


def test_one_success_starts_the_time_anew(tmp_path: Path) -> None:
    answers = [True, True, True]

    async def check() -> None:
        if not answers:
            raise ConnectionError("away for good")
        answers.pop()

    assert watch_until_it_ends(tmp_path, check)
    assert (tmp_path / FILE).exists()


def test_what_a_new_start_would_not_mend_is_shown_and_does_not_end_the_role(tmp_path: Path) -> None:
    ended: list[bool] = []

    async def main() -> None:
        asked = asyncio.Event()

        async def check() -> None:
            return None

        async def names() -> None:
            asked.set()
            raise TimeoutError("no name server answers")

        watch = keep_watch(tmp_path, check, also=names, rhythm=QUICK, end=lambda: ended.append(True))
        task = asyncio.create_task(watch)
        for _ in range(40):
            asked.clear()
            await asyncio.wait_for(asked.wait(), 5)
        assert not task.done()
        task.cancel()

    asyncio.run(main())
    assert not ended
    assert not (tmp_path / FILE).exists()
