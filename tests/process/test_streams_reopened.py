"""What a power cut leaves of a stream's files: the server starts without the stream, and admin brings it back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nats
import pytest

from services.admin.bus.store import STREAMS, Store
from services.admin.bus.streams import Reopened, make_streams, read_definitions
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.mail_run import mail_run

QUEUE_BYTES = 64 * 1024 * 1024
RECORDS = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BusServer]:
    made = BusServer(tmp_path)
    made.start()
    made.make_streams(QUEUE_BYTES)
    yield made
    made.stop()


def tear(path: Path) -> None:
    """As ext4 leaves a file that was not synced: there, and empty."""
    path.write_bytes(b"")


def stop_and_damage(server: BusServer, stream: str, what: str) -> None:
    server.stop()
    directory = server.directory / "store" / STREAMS / stream
    if what == "msgs is a file":
        # Without a metafile the server leaves it alone; with one it removes what it cannot open.
        tear(directory / "meta.sum")
        shutil.rmtree(directory / "msgs")
        tear(directory / "msgs")
    elif what == "meta.* gone":
        for path in directory.glob("meta.*"):
            path.unlink()
    else:
        tear(directory / what)
    server.start()


async def with_client(server: BusServer, work: Any) -> Any:
    client = await nats.connect(
        server.url, user="admin", password=server.password("admin"), inbox_prefix="_INBOX_admin"
    )

    async def api(call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = await client.request(f"$JS.API.{call}", json.dumps(arguments).encode(), timeout=10)
        result: dict[str, Any] = json.loads(answer.data)
        return result

    try:
        return await work(client, api)
    finally:
        await client.close()


def make(server: BusServer, queue_bytes: int = QUEUE_BYTES) -> tuple[list[str], list[Reopened]]:
    """As admin does it; what was changed, and what was on the disk and not open."""
    reopened: list[Reopened] = []
    store = Store(server.directory / "store")

    async def work(client: Any, api: Any) -> list[str]:
        return await make_streams(api, read_definitions(), queue_bytes, store, reopened.append)

    return asyncio.run(with_client(server, work)), reopened


def fill(server: BusServer, subject: str) -> None:
    async def work(client: Any, api: Any) -> None:
        for number in range(RECORDS):
            await client.jetstream().publish(f"{subject}.{number + 1}", b"x" * 1000)

    asyncio.run(with_client(server, work))


def records(server: BusServer, stream: str) -> int:
    async def work(client: Any, api: Any) -> int:
        return int((await api(f"STREAM.INFO.{stream}", {}))["state"]["messages"])

    return int(asyncio.run(with_client(server, work)))


@pytest.mark.parametrize(
    "what",
    ["meta.inf", "meta.sum", "meta.* gone", "msgs/1.blk", "msgs/index.db", "obs/log/meta.inf", "obs/log/o.dat"],
)
@pytest.mark.parametrize("stream", ["EVENTS"])
def test_whatever_is_torn_of_the_events_they_are_taken_again(server: BusServer, stream: str, what: str) -> None:
    fill(server, "event.log")
    stop_and_damage(server, stream, what)
    make(server)
    before = records(server, stream)
    fill(server, "event.log")
    assert records(server, stream) == before + RECORDS
    assert make(server) == ([], [])


def test_events_that_no_making_opens_are_kept_apart(server: BusServer) -> None:
    stop_and_damage(server, "EVENTS", "msgs is a file")
    (each,) = make(server)[1]
    assert each.name == "EVENTS"
    assert each.kept is not None
    assert (each.kept / each.name / "meta.inf").is_file()
    fill(server, "event.log")
    assert records(server, "EVENTS") == RECORDS


@pytest.mark.parametrize("what", ["meta.inf", "meta.sum", "meta.* gone"])
def test_a_stream_of_mail_without_its_metafile_has_its_mail_again(server: BusServer, what: str) -> None:
    fill(server, "in")
    stop_and_damage(server, "IN", what)
    changed, reopened = make(server)
    assert reopened == [Reopened("IN", RECORDS, None)]
    assert changed[0] == "IN"
    assert records(server, "IN") == RECORDS


def test_a_stream_of_mail_that_no_making_opens_is_kept_and_mail_goes_on(server: BusServer) -> None:
    fill(server, "in")
    stop_and_damage(server, "IN", "msgs is a file")
    (each,) = make(server)[1]
    assert each.kept is not None
    assert (each.kept / each.name / "meta.inf").is_file()
    fill(server, "in")
    assert records(server, "IN") == RECORDS


def test_a_server_that_makes_nothing_at_all_finds_every_file_later(server: BusServer) -> None:
    fill(server, "in")
    stop_and_damage(server, "IN", "meta.inf")
    store = Store(server.directory / "store")

    async def refuse(call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        code = 10059 if "INFO" in call else 10047
        return {"error": {"err_code": code, "description": "insufficient storage resources available"}}

    with pytest.raises(Exception, match="insufficient"):
        asyncio.run(make_streams(refuse, read_definitions(), QUEUE_BYTES, store))
    assert list((server.directory / "store" / "aside").iterdir()) == []
    assert make(server)[1] == [Reopened("IN", RECORDS, None)]


def test_a_deployment_whose_events_are_torn_comes_up_and_says_so() -> None:
    with mail_run() as deployment:
        deployment.start()
        assert deployment.send(1) == 250
        deployment.drained()
        deployment.run.stop()
        tear(deployment.directory / "bus" / STREAMS / "EVENTS" / "meta.inf")
        deployment.start()
        assert deployment.send(2) == 250
        deployment.drained()
        assert deployment.numbers("ari") == [1, 2]
        log = deployment.directory / "log" / "admin" / "current"
        eventually(
            lambda: log.exists() and "alert: the bus could not open stream EVENTS" in log.read_text(), "the alert"
        )
