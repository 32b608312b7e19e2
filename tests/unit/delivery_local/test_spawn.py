"""The spawner: programs run beside each other, and neither side hangs when the other dies."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.delivery.local.refusal import Refusal
from services.delivery.local.sandbox import NoSandbox, render_filter
from services.delivery.local.spawn import Spawner
from services.delivery.local.spawn_wire import (
    Ended,
    Program,
    decode_ended,
    decode_program,
    encode_ended,
    encode_program,
)
from tests.unit.delivery_local.conftest import is_gone


def program(number: int, command: bytes, home: bytes = b"/", variables: dict[bytes, bytes] | None = None) -> Program:
    everything = {b"PATH": b"/usr/bin:/bin", **(variables or {})}
    return Program(number=number, uid=-1, gid=-1, home=home, command=command, variables=everything, seconds=20.0)


def with_spawner(work: Callable[[Spawner], Awaitable[object]]) -> object:
    async def run() -> object:
        spawner = Spawner()
        try:
            return await work(spawner)
        finally:
            spawner.close()

    return asyncio.run(run())


@pytest.fixture
def null() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_packets_carry_every_byte() -> None:
    given = program(7, bytes(range(1, 256)), b"/h\xff", {b"EXT": b"\xe9\n\x01"})
    assert decode_program(encode_program(given)) == given
    ended = Ended(number=7, exit_code=None, output=bytes(range(256)))
    assert decode_ended(encode_ended(ended)) == ended


def test_programs_run_at_the_same_time(tmp_path: Path, null: int) -> None:
    os.mkfifo(tmp_path / "fifo")

    async def work(spawner: Spawner) -> None:
        # Each waits for the other one's end of the FIFO.
        reader = spawner.run(program(1, b"cat fifo", bytes(tmp_path)), null)
        writer = spawner.run(program(2, b"echo hello > fifo; exit 3", bytes(tmp_path)), null)
        ended = await asyncio.gather(reader, writer)
        assert [(e.exit_code, e.output) for e in ended] == [(0, b"hello\n"), (3, b"")]

    with_spawner(work)


def test_a_home_that_is_gone_is_told(null: int) -> None:
    async def work(spawner: Spawner) -> None:
        ended = await spawner.run(program(1, b"true", b"/nonexistent"), null)
        assert ended.exit_code == 111
        assert b"file does not exist" in ended.output

    with_spawner(work)


def test_a_command_too_long_to_run_is_refused_at_once(null: int) -> None:
    async def work(spawner: Spawner) -> None:
        with pytest.raises(Refusal):
            await spawner.run(program(1, b"#" * 200_000), null)
        assert (await spawner.run(program(2, b"exit 0"), null)).exit_code == 0

    with_spawner(work)


def test_a_program_holds_nothing_but_its_three_descriptors(null: int) -> None:
    async def work(spawner: Spawner) -> None:
        ended = await spawner.run(program(1, b"exec ls /proc/self/fd"), null)
        assert ended.output == b"0\n1\n2\n3\n"  # 3 is the listing itself

    with_spawner(work)


NETWORKS = (
    "import socket\n"
    "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_VSOCK):\n"
    "    try:\n"
    "        socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM)\n"
    "        print(family.name)\n"
    "    except PermissionError:\n"
    "        pass\n"
    "socket.socketpair()\n"
    "socket.socket(socket.AF_UNIX)\n"
)


@pytest.mark.parametrize(("network", "families"), [(False, set()), (True, {b"AF_INET", b"AF_INET6", b"AF_NETLINK"})])
def test_a_program_makes_unix_sockets_alone_unless_its_account_may_have_a_network(
    tmp_path: Path, null: int, network: bool, families: set[bytes]
) -> None:
    script = tmp_path / "networks.py"
    script.write_text(NETWORKS)
    command = f"{sys.executable} {script}".encode()

    async def work(spawner: Spawner) -> None:
        ended = await spawner.run(replace(program(1, command), network=network), null)
        assert ended.exit_code == 0, ended.output
        assert families <= set(ended.output.split()) if network else ended.output == b""

    with_spawner(work)


def test_a_program_with_other_system_call_numbers_has_no_network_either() -> None:
    text = render_filter("x86_64")
    assert len(text) % 8 == 0 and render_filter("aarch64") != text
    with pytest.raises(NoSandbox, match="pdp11"):
        render_filter("pdp11")


@pytest.mark.parametrize("command", [b"sleep 300 & echo $!", b"setsid sleep 300 >/dev/null 2>&1 & echo $!"])
def test_what_a_program_leaves_in_the_background_ends_with_it(null: int, command: bytes) -> None:
    async def work(spawner: Spawner) -> None:
        ended = await spawner.run(program(1, command), null)
        assert await asyncio.to_thread(is_gone, int(ended.output))
        assert (await spawner.run(program(2, b"exit 0"), null)).exit_code == 0

    with_spawner(work)


def test_when_the_spawner_dies_its_programs_are_deferred_and_the_next_one_runs(null: int) -> None:
    async def work(spawner: Spawner) -> None:
        with pytest.raises(Refusal):
            await spawner.run(program(1, b"kill -KILL $PPID; sleep 20"), null)
        assert (await spawner.run(program(2, b"exit 0"), null)).exit_code == 0

    with_spawner(work)


def test_when_delivery_goes_away_its_programs_are_killed(tmp_path: Path, null: int) -> None:
    os.mkfifo(tmp_path / "started")

    async def work(spawner: Spawner) -> int:
        waiting = asyncio.ensure_future(
            spawner.run(program(1, b"echo $$ > started; exec sleep 300", bytes(tmp_path)), null)
        )
        pid = int(await asyncio.to_thread((tmp_path / "started").read_text))
        waiting.cancel()
        return pid

    pid = with_spawner(work)
    assert isinstance(pid, int)
    assert is_gone(pid)
