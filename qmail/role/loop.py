"""The one event loop of a role's process: uvloop, with the collector told what stays."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

from qmail.message.printable import PrintableFormatter

Result = TypeVar("Result")

#: Objects made since the last look before the collector looks at the young ones again, and how many such looks make
#: one at their elders. The defaults (700, 10, 10) look at a busy role's whole memory several times a second.
_YOUNG, _MIDDLE, _OLD = 20_000, 20, 100


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` on uvloop. Call it when everything is imported."""
    _log_printable()
    # Code and tables live as long as the process: to look through them for garbage is work for nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _log_printable() -> None:
    """logging writes to standard error, which a terminal shows (docker compose logs)."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(handlers=[handler])
