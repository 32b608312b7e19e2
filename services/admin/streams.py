"""The streams and their consumers, made or brought up to date by admin; every other role only waits for them."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from services.admin.places import REPOSITORY

NANOSECONDS = 1_000_000_000
# No role publishes with a message id: the smallest window that the server takes keeps no table of them.
DUPLICATE_WINDOW_SECONDS = 0.1
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014

Api = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class StreamError(Exception):
    """The bus refused a stream or consumer; the text is the server's."""


def read_definitions(path: Path = REPOSITORY / "services" / "bus" / "streams.toml") -> dict[str, Any]:
    """Raises OSError and tomllib.TOMLDecodeError."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def stream_config(name: str, definition: Mapping[str, Any], queue_bytes: int) -> dict[str, Any]:
    """The JetStream configuration of one stream; `share` and seconds become bytes and nanoseconds."""
    config = dict(definition)
    share, age = config.pop("share"), config.pop("max_age_seconds", 0)
    config.update(
        name=name,
        storage="file",
        retention="limits",
        num_replicas=1,
        max_bytes=int(queue_bytes * share),
        max_age=age * NANOSECONDS,
        duplicate_window=int(DUPLICATE_WINDOW_SECONDS * NANOSECONDS),
    )
    return config


def consumer_config(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of one durable pull consumer that begins at the stream's beginning."""
    return {"durable_name": name, "name": name, "deliver_policy": "all", "replay_policy": "instant", **definition}


async def make_streams(api: Api, definitions: Mapping[str, Any], queue_bytes: int) -> list[str]:
    """Make what is missing, update what differs; the names of what was changed, nothing for a second run.

    Raises StreamError and what `api` raises."""
    changed = []
    for name, definition in definitions["stream"].items():
        changed += await _make_stream(api, stream_config(name, definition, queue_bytes))
    for stream, consumers in definitions["consumer"].items():
        for name, definition in consumers.items():
            changed += await _make_consumer(api, stream, consumer_config(name, definition))
    return changed


async def _make_stream(api: Api, wanted: Mapping[str, Any]) -> list[str]:
    name = wanted["name"]
    found = await api(f"STREAM.INFO.{name}", {})
    if _error_code(found) == STREAM_NOT_FOUND:
        _checked(await api(f"STREAM.CREATE.{name}", wanted))
        return [name]
    config = _checked(found)["config"]
    if _fits(wanted, config):
        return []
    _checked(await api(f"STREAM.UPDATE.{name}", {**config, **wanted}))
    return [name]


async def _make_consumer(api: Api, stream: str, wanted: Mapping[str, Any]) -> list[str]:
    name = wanted["name"]
    found = await api(f"CONSUMER.INFO.{stream}.{name}", {})
    if _error_code(found) != CONSUMER_NOT_FOUND and _fits(wanted, _checked(found)["config"]):
        return []
    call = f"CONSUMER.CREATE.{stream}.{name}"
    if "filter_subject" in wanted:
        call += f".{wanted['filter_subject']}"
    _checked(await api(call, {"stream_name": stream, "config": wanted}))
    return [f"{stream}/{name}"]


def _fits(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """The server leaves fields out that are false or zero."""
    return all((found.get(key) or None) == (value or None) for key, value in wanted.items())


def _error_code(answer: Mapping[str, Any]) -> int | None:
    error = answer.get("error")
    return None if error is None else int(error.get("err_code", 0))


def _checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in answer:
        raise StreamError(str(answer["error"].get("description")))
    return answer
