"""One process of a role: what is ended when, and what TERM does before and after something has begun."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from qmail.bus.ports import BusDown
from qmail.log.log import Log
from qmail.role import process as process_module
from qmail.role.health import FILE
from qmail.role.loop import run
from qmail.role.process import RoleProcess


class Bus:
    """What a process asks of its connection; `said` is what happened, in order."""

    def __init__(self, said: list[str]) -> None:
        self._said = said
        self.connected = True

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        self._said.append(f"published {subject}")

    async def close(self) -> None:
        self._said.append("bus closed")


class Node:
    """A claim of a node number."""

    def __init__(self, bus: Bus, ids: object) -> None:
        self._bus = bus

    async def claim(self) -> None:
        self._bus._said.append("claimed")

    async def renew(self) -> None:
        self._bus._said.append("renewed")

    async def release(self) -> None:
        self._bus._said.append("released")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    happened: list[str] = []

    async def connect(*_: Any) -> Bus:
        return Bus(happened)

    async def wait_for_streams(bus: Bus, streams: tuple[str, ...]) -> None:
        happened.append(f"streams {' '.join(streams)}")

    monkeypatch.setattr(process_module, "connect", connect)
    monkeypatch.setattr(process_module, "wait_for_streams", wait_for_streams)
    monkeypatch.setattr(process_module, "NodeLease", Node)
    return happened


def live(directory: Path, serve: Callable[[RoleProcess], Awaitable[None]]) -> None:
    (directory / "run").mkdir()
    environ = {"QMAIL_DIR": str(directory)}

    async def main() -> None:
        async with asyncio.timeout(10):
            await RoleProcess("smtpd", Log("qmail-smtpd"), environ).live(serve)

    run(main())


async def for_ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("waits_in", ["connect", "wait_for_streams"])
def test_a_role_that_waits_for_the_bus_ends_at_once(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, waits_in: str, number: signal.Signals
) -> None:
    async def away(*_: Any) -> None:
        os.kill(os.getpid(), number)
        await for_ever()

    monkeypatch.setattr(process_module, waits_in, away)

    async def serve(process: RoleProcess) -> None:
        await process.reach_bus("IN")
        said.append("served")

    live(tmp_path, serve)
    assert said == ([] if waits_in == "connect" else ["bus closed"])


def test_a_connection_that_loses_the_cancellation_keeps_nobody(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()
        await for_ever()

    monkeypatch.setattr(process_module, "connect", away)

    async def serve(process: RoleProcess) -> None:
        await process.reach_bus()

    live(tmp_path, serve)


def test_what_has_begun_ends_in_order_and_the_bus_last(tmp_path: Path, said: list[str]) -> None:
    async def serve(process: RoleProcess) -> None:
        process.at_end.callback(said.append, "threads ended")
        await process.reach_bus("IN", "BODY")
        await process.claim_node()
        os.kill(os.getpid(), signal.SIGTERM)
        await process.until_told()
        process.log.line("the last line")
        said.append("served")

    live(tmp_path, serve)
    assert said == [
        "streams IN BODY", "claimed", "served", "published event.log.qmail-smtpd", "released", "bus closed",
        "threads ended",
    ]  # fmt: skip


def test_nothing_that_has_begun_is_cut_off(tmp_path: Path, said: list[str]) -> None:
    async def serve(process: RoleProcess) -> None:
        process.begin()
        process.end()
        await asyncio.sleep(0)
        await process.until_told()
        said.append("served")

    live(tmp_path, serve)
    assert said == ["served"]


def test_what_is_ended_is_ended_once_though_it_is_told_twice(tmp_path: Path, said: list[str]) -> None:
    async def serve(process: RoleProcess) -> None:
        process.end()
        try:
            await for_ever()
        finally:
            process.end()
            await asyncio.sleep(0)
            said.append("put away")

    live(tmp_path, serve)
    assert said == ["put away"]


def test_what_a_role_raises_is_raised_when_its_bus_is_closed(tmp_path: Path, said: list[str]) -> None:
    async def serve(process: RoleProcess) -> None:
        await process.reach_bus()
        raise OSError("Address already in use")

    with pytest.raises(OSError, match="in use"):
        live(tmp_path, serve)
    assert said == ["streams ", "bus closed"]


def test_a_cancellation_that_nobody_asked_for_is_no_orderly_end(tmp_path: Path) -> None:
    async def serve(process: RoleProcess) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        live(tmp_path, serve)


def test_it_is_healthy_while_its_checks_succeed(tmp_path: Path, said: list[str]) -> None:
    async def serve(process: RoleProcess) -> None:
        bus = await process.reach_bus()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bus, "connected", False)
            with pytest.raises(BusDown):
                await process.bus_is_there()
        await process.numbers_are_left()
        assert said == ["streams "], "nothing is claimed: nothing is renewed"
        await process.claim_node()
        looked = asyncio.Event()

        async def look() -> None:
            looked.set()

        process.watch(process.bus_is_there, seen=[process.numbers_are_left, look])
        await looked.wait()
        assert (tmp_path / "run" / FILE).exists()

    live(tmp_path, serve)
    assert said[1:] == ["claimed", "renewed", "released", "bus closed"]
