"""A bus that does not store: 452 where its disk is full (test_full), else 451; and it is started again."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown, DiskFull, Message, QueueFull, Record
from qmail.bus.talk import disk
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.loop_disk import loop_disk
from tests.support.mail_run import mail_run
from tests.support.needs import missing_machine


@pytest.fixture
def silent_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusServer]:
    """A server that lives, answers everything else, and acknowledges no record of IN."""
    monkeypatch.setattr("qmail.bus.jetstream.STORE_TIMEOUT_SECONDS", 0.5)
    server = BusServer(tmp_path)
    server.start()
    server.make_streams(64 * 1024 * 1024)
    asyncio.run(_say_nothing(server))
    yield server
    server.stop()


async def _connected(server: BusServer) -> JetStreamBus:
    bus = JetStreamBus("_INBOX_admin")
    await bus.connect(server.url, "admin", server.password("admin"), "test")
    return bus


async def _say_nothing(server: BusServer) -> None:
    bus = await _connected(server)
    config = (await bus.api("STREAM.INFO.IN", {}))["config"]
    assert "error" not in await bus.api("STREAM.UPDATE.IN", {**config, "no_ack": True})
    await bus.close()


def test_silence_alone_is_no_full_disk(silent_bus: BusServer) -> None:
    async def main() -> None:
        bus = await _connected(silent_bus)
        with pytest.raises(BusDown):
            await bus.store(Record("in.1", b"x"))
        await bus.close()

    asyncio.run(main())


@pytest.mark.parametrize(("answer", "kind"), [(disk.FULL, DiskFull), (disk.ROOM, BusDown)])
def test_who_sees_the_disk_says_which_it_is(silent_bus: BusServer, answer: bytes, kind: type[Exception]) -> None:
    async def main() -> None:
        bus = await _connected(silent_bus)

        def tell(message: Message) -> None:
            bus.publish(message.reply, answer)

        await bus.subscribe("ask.disk", tell)
        with pytest.raises(kind):
            await bus.store(Record("in.1", b"x"))
        await bus.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("maximum bytes exceeded", 10077, QueueFull),
        ("insufficient storage resources available", 10047, QueueFull),
        ("resource temporarily unavailable", 10077, BusDown),
        ("insufficient memory resources to go on: shutting down", 10008, BusDown),
    ],
)
def test_only_a_limit_that_was_reached_is_full(text: str, code: int, kind: type[Exception]) -> None:
    from qmail.bus.jetstream import _sequence_of

    with pytest.raises(kind):
        _sequence_of(json.dumps({"error": {"code": 503, "err_code": code, "description": text}}).encode())


def test_a_server_that_is_stopped_is_a_451_and_mail_goes_on_after_it() -> None:
    with mail_run() as deployment:
        deployment.start()
        deployment.signal("nats-server", signal.SIGSTOP)
        try:
            assert {deployment.send(1), deployment.send(2)} == {451}
        finally:
            deployment.signal("nats-server", signal.SIGCONT)
        eventually(lambda: deployment.send(3) == 250, "mail is taken again")
        eventually(lambda: 3 in deployment.numbers("ari"), "and delivered")


@contextmanager
def told_of_mounts(directory: Path) -> Iterator[None]:
    """delivery-local has a mount namespace of its own: what is mounted below the directory later is there too, as on
    a machine whose root is shared, and what is unmounted is gone."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        for order in (["--bind", str(directory), str(directory)], ["--make-shared", str(directory)]):
            subprocess.run(["mount", *order], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        missing_machine(f"the right to mount: {error.stderr!r}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)


def test_after_an_error_of_the_disk_it_is_a_451_and_the_server_is_started_again() -> None:
    with tempfile.TemporaryDirectory() as images, mail_run() as deployment, told_of_mounts(deployment.directory):
        with loop_disk(Path(images) / "bus", deployment.directory / "bus", 64) as disk:
            deployment.start()
            assert deployment.send(1) == 250
            deployment.drained()
            before = deployment.pid("nats-server")
            disk.cut()
            assert deployment.send(2) == 451
            eventually(lambda: deployment.run.roles().get("nats-server") != before, "the server is started again")
            disk.unmount()
            disk.mount()
            eventually(lambda: deployment.send(3) == 250, "mail is taken again")
            eventually(lambda: 3 in deployment.numbers("ari"), "and delivered")
            assert set(deployment.numbers("ari")) <= {1, 2, 3}
            deployment.run.stop()
