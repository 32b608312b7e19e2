"""Whether each role answers: asked in its own protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

PROBE_SECONDS = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024

# What each role without a port of its own listens to when it is ready: how the subject begins.
LISTENS = {
    "queue": "report.local",
    "bounce": "bounce",
    "delivery-local": "job.local",
    "delivery-remote": "job.remote",
    "auth": "ask.pass",
    "log": "_INBOX_log.events.",
}


async def greets(host: str, port: int, greeting: bytes) -> bool:
    """Whether the first line begins so (220, +OK, * OK)."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return (await reader.readline()).startswith(greeting)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


async def fetch(host: str, port: int, path: str) -> tuple[int, bytes]:
    """(status, body) of a GET by HTTP/1.0; status 0 where nobody answers."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("ascii"))
                answer = await reader.read(MAX_ANSWER_BYTES)
                while more := await reader.read(MAX_ANSWER_BYTES - len(answer)):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return 0, b""
    status, _, body = answer.partition(b"\r\n\r\n")
    words = status.split(None, 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body


async def listening(host: str, monitor_port: int) -> Mapping[str, set[str]]:
    """Role -> subjects that it listens to at this moment, as the bus sees it (/connz)."""
    status, body = await fetch(host, monitor_port, "/connz?subs=1&auth=1&limit=1024")
    if status != 200:
        return {}
    found: dict[str, set[str]] = {}
    answer: dict[str, Any] = json.loads(body)
    for connection in answer.get("connections", []):
        subjects = found.setdefault(connection.get("authorized_user", ""), set())
        subjects.update(connection.get("subscriptions_list") or ())
    return found
