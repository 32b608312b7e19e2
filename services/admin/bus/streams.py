"""The streams and their consumers, made or brought up to date by admin; every other role only waits for them."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.admin.bus.store import Store
from services.admin.directories import REPOSITORY

NANOSECONDS = 1_000_000_000
# No role publishes with a message id: the smallest window that the server takes keeps no table of them.
DUPLICATE_WINDOW_SECONDS = 0.1
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014

Api = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class StreamError(Exception):
    """The bus refused a stream or consumer; the text is the server's."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A stream that was on the disk and that the server had not opened (its metafile was missing or torn).

    kept: where its files are now; None where the server found its `records` in them after all."""

    name: str
    records: int
    kept: Path | None


def read_definitions(path: Path = REPOSITORY / "services" / "bus" / "streams.toml") -> dict[str, Any]:
    """Raises OSError and tomllib.TOMLDecodeError."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def stream_config(name: str, definition: Mapping[str, Any], queue_bytes: int | None) -> dict[str, Any]:
    """The JetStream configuration of one stream; `share` or `bytes`, and seconds, become bytes and nanoseconds.

    queue_bytes None: nobody knows it, and a stream that is there keeps its own."""
    config = dict(definition)
    share, age = config.pop("share"), config.pop("max_age_seconds", 0)
    at_least = config.pop("at_least_bytes", 0)
    config.update(
        name=name,
        storage="file",
        retention="limits",
        num_replicas=1,
        max_age=age * NANOSECONDS,
        duplicate_window=int(DUPLICATE_WINDOW_SECONDS * NANOSECONDS),
    )
    if queue_bytes is not None:
        config["max_bytes"] = max(int(queue_bytes * share), at_least) if queue_bytes else 0
    return config


def consumer_config(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of one durable pull consumer that begins at the stream's beginning."""
    return {"durable_name": name, "name": name, "deliver_policy": "all", "replay_policy": "instant", **definition}


async def make_streams(
    api: Api,
    definitions: Mapping[str, Any],
    queue_bytes: int | None,
    store: Store | None = None,
    reopened: Callable[[Reopened], None] = lambda _each: None,
) -> list[str]:
    """Make what is missing, update what differs; the names of what was changed, nothing for a second run.

    What lies in `store` and is not open is told to `reopened`. Raises StreamError, OSError, and BusDown."""
    changed = []
    for name, definition in definitions["stream"].items():
        if await _make_stream(api, stream_config(name, definition, queue_bytes), store, reopened):
            changed.append(name)
    for stream, consumers in definitions["consumer"].items():
        for name, definition in consumers.items():
            changed += await make_consumer(api, stream, name, definition)
    return changed


async def _make_stream(
    api: Api, wanted: Mapping[str, Any], store: Store | None, reopened: Callable[[Reopened], None]
) -> bool:
    name = wanted["name"]
    found = await api(f"STREAM.INFO.{name}", {})
    if error_code(found) == STREAM_NOT_FOUND:
        check_size(wanted)
        if store is not None and store.holds(name):
            reopened(await reopen(api, wanted, store))
        else:
            checked(await api(f"STREAM.CREATE.{name}", wanted))
        return True
    config = checked(found)["config"]
    if _fits(wanted, config):
        return False
    checked(await api(f"STREAM.UPDATE.{name}", {**config, **wanted}))
    return True


async def reopen(api: Api, wanted: Mapping[str, Any], store: Store) -> Reopened:
    """Made over what is there the server mostly finds its records again; where it cannot, it removes all that is there
    (measured with 2.15.1). So the files are linked to another place before."""
    call, kept = f"STREAM.CREATE.{wanted['name']}", store.keep(wanted["name"])
    answer = await api(call, wanted)
    recovered = "error" not in answer
    if not recovered:
        answer = await api(call, wanted)
    if recovered or ("error" in answer and store.has_all(wanted["name"], kept)):
        store.drop(kept)
    records = int(checked(answer)["state"]["messages"])
    return Reopened(wanted["name"], records, None if recovered else kept)


async def make_consumer(api: Api, stream: str, name: str, definition: Mapping[str, Any]) -> list[str]:
    """Make a consumer where it is missing or differs; its name then. Raises StreamError and what `api` raises."""
    wanted = consumer_config(name, definition)
    found = await api(f"CONSUMER.INFO.{stream}.{name}", {})
    if error_code(found) != CONSUMER_NOT_FOUND and _fits(wanted, checked(found)["config"]):
        return []
    call = f"CONSUMER.CREATE.{stream}.{name}"
    if "filter_subject" in wanted:
        call += f".{wanted['filter_subject']}"
    checked(await api(call, {"stream_name": stream, "config": wanted}))
    return [f"{stream}/{name}"]


def _fits(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """The server leaves fields out that are false or zero."""
    return all((found.get(key) or None) == (value or None) for key, value in wanted.items())


def check_size(wanted: Mapping[str, Any]) -> None:
    """Raises StreamError for a stream that is to be made without anybody knowing its size."""
    if "max_bytes" not in wanted:
        raise StreamError(f"{wanted['name']} is not there, and control/queuebytes does not say its size")


def error_code(answer: Mapping[str, Any]) -> int | None:
    """The server's own number of what is wrong, None where nothing is."""
    error = answer.get("error")
    return None if error is None else int(error.get("err_code", 0))


def checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer. Raises StreamError where it is a refusal."""
    if "error" in answer:
        raise StreamError(str(answer["error"].get("description")))
    return answer
