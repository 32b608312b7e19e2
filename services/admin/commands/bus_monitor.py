"""What the bus says of itself, asked of its system account with a user that may do nothing else: it sees no mail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qmail.bus.connect import connect_user
from qmail.bus.jetstream import JetStreamBus
from qmail.control.paths import Paths
from services.admin.setup.bus_rights import STAT_USER

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Stream:
    """How full a stream is."""

    name: str
    records: int
    bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class BusState:
    """The connections as the server lists them (its /connz), its streams (/jsz), and how long it has run (/varz)."""

    connections: list[dict[str, Any]]
    streams: list[Stream]
    uptime: str


async def read_bus_state(paths: Paths, environ: Mapping[str, str]) -> BusState:
    """Raises BusDown, CredentialsError."""
    bus = await connect_user(STAT_USER, paths, environ)
    try:
        connections = await _ask(bus, "CONNZ", {"auth": True, "subscriptions": True, "limit": 1024})
        accounts = await _ask(bus, "JSZ", {"accounts": True, "streams": True, "config": True})
        server = await _ask(bus, "VARZ", {})
    finally:
        await bus.close()
    found = [stream for account in accounts.get("account_details", ()) for stream in account.get("stream_detail", ())]
    streams = sorted(map(_stream, found), key=lambda stream: stream.name)
    return BusState(connections["connections"], streams, str(server["uptime"]))


async def _ask(bus: JetStreamBus, what: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    answer = await bus.request(f"$SYS.REQ.SERVER.PING.{what}", json.dumps(arguments).encode(), TIMEOUT_SECONDS)
    data: dict[str, Any] = json.loads(answer)["data"]
    return data


def _stream(found: Mapping[str, Any]) -> Stream:
    state = found["state"]
    return Stream(found["name"], state["messages"], state["bytes"], found["config"]["max_bytes"])
