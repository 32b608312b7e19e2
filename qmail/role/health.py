"""A role's health: `<run>/healthy` is touched while the role is able to work; its age is what the engine looks at.

The engine starts again what ends, not what is merely unhealthy, so a role that has been unable to work for a minute
ends itself. One that cannot even look any more, because its loop hangs, is ended by a watchdog.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from qmail.log.notices import Notices

Check: TypeAlias = Callable[[], Awaitable[None]]

FILE = "healthy"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a role looks at itself and how long it may fail."""

    interval_seconds: float = 5.0
    check_seconds: float = 10.0
    give_up_seconds: float = 60.0
    #: Without a look for so long the process is ended at once, with the traces of its threads on standard error.
    hung_seconds: float = 60.0


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def keep_watch(
    run: Path,
    check: Check,
    *,
    also: Check | None = None,
    rhythm: Rhythm | None = None,
    end: Callable[[], None] = _end,
    notices: Notices | None = None,
) -> None:
    """Run `check` again and again; anything that it raises means "not able to work". After `give_up_seconds` without
    a success calls `end` (TERM to this process) and returns. Touches `<run>/healthy` after each success, if `also`
    succeeds too: that is for what should be seen, and what a new start would not mend (local mail goes on when no
    name server answers). What fails stands in `notices` until it does not."""
    rhythm = rhythm or Rhythm()
    try:
        await _watch(run, check, also, rhythm, end, _Teller(notices))
    finally:
        faulthandler.cancel_dump_traceback_later()


async def _watch(
    run: Path,
    check: Check,
    also: Check | None,
    rhythm: Rhythm,
    end: Callable[[], None],
    tell: _Teller,
) -> None:
    well = time.monotonic()
    while True:
        # Kept by a thread that needs nothing of the interpreter: it works even while a regular expression spins.
        faulthandler.dump_traceback_later(rhythm.hung_seconds, exit=True)
        trouble = await _trouble(check, rhythm.check_seconds)
        tell("not able to work", trouble)
        if trouble is None:
            well = time.monotonic()
            await _show(run, also, rhythm.check_seconds, tell)
        elif time.monotonic() - well >= rhythm.give_up_seconds:
            _log.error("not able to work for %d seconds, ending: %s", rhythm.give_up_seconds, trouble)
            end()
            return
        await asyncio.sleep(rhythm.interval_seconds)


async def _trouble(check: Check, seconds: float) -> str | None:
    try:
        async with asyncio.timeout(seconds):
            await check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


async def _show(run: Path, also: Check | None, seconds: float, tell: _Teller) -> None:
    trouble = await _trouble(also, seconds) if also is not None else None
    tell("not well", trouble)
    if trouble is not None:
        return
    try:
        (run / FILE).touch()
    except OSError as error:
        _log.error("not able to say so: %s", error)


class _Teller:
    """Says what a look found: to the role's notices, or where it has none, as a warning each time."""

    def __init__(self, notices: Notices | None) -> None:
        self._notices = notices

    def __call__(self, words: str, trouble: str | None) -> None:
        if self._notices is None:
            if trouble is not None:
                _log.warning("%s: %s", words, trouble)
        elif trouble is None:
            self._notices.mended(words)
        else:
            self._notices.stands(words, f"{words}: {trouble}")


def every(*checks: Check) -> Check:
    """One check of several, in order."""

    async def check() -> None:
        for each in checks:
            await each()

    return check
