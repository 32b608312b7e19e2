"""Recorded runs of qmail-remote, answered by services.delivery.remote over real sockets on loopback.

The case's addresses are not ours to bind: the connection is opened to a scripted server on a free port
instead, everything else is the role's own code. `control/extensions` is `none`, and `control/localips`
holds the recorded machine's addresses.
"""

from __future__ import annotations

import asyncio
import base64
import io
import socket
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qmail.control.files import Control
from services.delivery.remote.attempt import World
from services.delivery.remote.command import read_message, report
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.settings import SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.remote.wire import Wire, open_wire
from tests.support.dnsserver import DnsServer
from tests.support.ports import free_port
from tests.support.scripted import ScriptedServer

_MACHINE_ADDRESSES = "127.0.0.1\n192.168.1.1\n"


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What the role does with the case, in the shape of its `expect`."""
    return asyncio.run(_run(case["input"]))


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether report, exit code and every byte sent are equal.

    Not compared: dns_queries, which tells how qmail asks (it asks ANY), not what comes of it."""
    return all(actual[key] == expected[key] for key in actual)


async def _run(given: dict[str, Any]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        servers = await start_servers(given.get("servers", []), stack)
        dns_port = await start_dns(given.get("dns"), stack)
        with tempfile.TemporaryDirectory() as directory:
            write_control(Path(directory), given["control"])
            tcpto = TcpTo(time.time)
            world = World(
                settings=SettingsReader(Control(Path(directory))),
                resolver=make_resolver({"DNS_SERVER": f"127.0.0.1:{dns_port}"}, ipv6=False, lifetime_seconds=3.0),
                tcpto=tcpto,
                open_wire=Network({key: server.port for key, server in servers.items()}).open,
            )
            text = to_bytes(given["stdin"])
            message = read_message(io.BytesIO(text), len(text))
            stdout = await report(world, [to_bytes(argument) for argument in given["args"]], message)
        for server in servers.values():
            await server.stop()
        return {
            "exit": 0,
            "stdout": from_bytes(stdout),
            "stderr": "",
            "received": [received(key, server) for key, server in servers.items()],
            "tcpto_entries": len(tcpto.entries()),
        }


class Network:
    """Leads the case's addresses and ports to the servers that stand for them."""

    def __init__(self, ports: dict[tuple[str, int], int]) -> None:
        self._ports = ports

    async def open(self, address: str, port: int) -> Wire:
        """As wire.open_wire; where the case has no server, a port where nothing listens."""
        return await open_wire("127.0.0.1", self._ports.get((address, port)) or free_port())


async def start_servers(servers: list[dict[str, Any]], stack: AsyncExitStack) -> dict[tuple[str, int], ScriptedServer]:
    started = {}
    for server in servers:
        scripts = [[_step(step) for step in steps] for steps in server["connections"]]
        # In some recordings only the server ends a conversation in which both wait.
        scripted = ScriptedServer(scripts, patience_seconds=5.0)
        await scripted.start()
        stack.push_async_callback(scripted.stop)
        started[server["addr"], server["port"]] = scripted
    return started


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {"send": to_bytes(step["send"])} if "send" in step else step


async def start_dns(zone: dict[str, Any] | None, stack: AsyncExitStack) -> int:
    if zone is None:
        return free_port(socket.SOCK_DGRAM)
    server = DnsServer(zone)
    await server.start()
    stack.callback(server.stop)
    return server.port


def write_control(directory: Path, control: dict[str, Any]) -> None:
    ours = {"extensions": "none\n", "localips": _MACHINE_ADDRESSES}
    for name, content in {**ours, **control}.items():
        if isinstance(content, dict) and content.get("type") == "dir":
            (directory / name).mkdir()
        else:
            (directory / name).write_bytes(to_bytes(content))


def received(key: tuple[str, int], server: ScriptedServer) -> dict[str, Any]:
    return {"addr": f"{key[0]}:{key[1]}", "connections": [from_bytes(bytes(part)) for part in server.received]}


def to_bytes(text: Any) -> bytes:
    """The bytes of a recorded text."""
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()


def from_bytes(data: bytes) -> Any:
    """Bytes as the recording writes them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode("ascii")}
