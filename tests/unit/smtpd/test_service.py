"""The process: what it does until TERM."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from qmail.door.admission import Admission
from qmail.role.loop import run
from services.smtpd import service
from services.smtpd.settings import read_settings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("waits_in", ["connect", "wait_for_streams"])
def test_term_is_heard_while_the_bus_is_away(
    directory: Path, monkeypatch: pytest.MonkeyPatch, waits_in: str, number: signal.Signals
) -> None:
    async def connected(*_: Any) -> None:
        return None

    async def away(*_: Any) -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    monkeypatch.setattr(service, "connect", connected)
    monkeypatch.setattr(service, waits_in, away)
    settings = read_settings({"QMAIL_DIR": str(directory), "SMTP_LISTEN": "127.0.0.1:0", "SUBMISSION_LISTEN": ""})

    async def main() -> None:
        done, _ = await asyncio.wait([asyncio.create_task(service.serve(settings, Admission(1)))], timeout=2)
        assert done

    run(main())
