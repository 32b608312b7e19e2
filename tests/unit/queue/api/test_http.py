"""The queue over HTTP: what is open, what needs the token, and what is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI

from qmail.bus.ports import BusDown
from qmail.message.envelope import EnvelopeError
from services.queue.api.http import make_app
from services.queue.api.listing import Listing, QueueEntry

OPEN = {"/health", "/ready"}
ENTRY = QueueEntry(id=7, accepted=1, bytes=2, sender="a@b", recipients=[], attempts={}, next_attempt={}, bouncing=False)


class OneMessage(Listing):
    """A queue with the message 7, whose record of 8 cannot be read."""

    def __init__(self) -> None:
        self.ready = self.bus_is_there = True

    def is_ready(self) -> bool:
        return self.ready

    def total(self) -> int:
        return 1

    async def status(self) -> dict[str, Any]:
        if not self.bus_is_there:
            raise BusDown("gone")
        return {"unread": 0, "ready": True, "paused": False, "messages": 1, "running": 0, "status": "status: idle"}

    async def page(self, offset: int, limit: int) -> list[QueueEntry]:
        return [ENTRY][offset : offset + limit]

    async def entry(self, message_id: int) -> QueueEntry | None:
        if message_id == 8:
            raise EnvelopeError("no record")
        return ENTRY if message_id == 7 else None


@pytest.fixture
def listing() -> OneMessage:
    return OneMessage()


@pytest.fixture
def app(listing: OneMessage) -> FastAPI:
    return make_app(listing, "secret")


def ask(app: FastAPI, path: str, token: str = "", method: str = "GET") -> tuple[int, Any]:
    """(status, decoded body) of one request (the ASGI specification's HTTP scope)."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())] if token else [],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)


def test_everything_but_health_and_ready_needs_the_token(app: FastAPI) -> None:
    described = [(path, method.upper()) for path, methods in app.openapi()["paths"].items() for method in methods]
    assert len(described) > 8
    for path, method in (*described, ("/openapi.json", "GET")):
        expected = 200 if path in OPEN else 401
        assert ask(app, path.replace("{message_id}", "7"), method=method)[0] == expected, path
        if path not in OPEN:
            assert ask(app, path.replace("{message_id}", "7"), "guess", method)[0] == 401, path


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_is_no_page_for_browsers(app: FastAPI, path: str) -> None:
    assert ask(app, path)[0] == 404


def test_the_description_is_for_whoever_has_the_token(app: FastAPI) -> None:
    status, description = ask(app, "/openapi.json", "secret")
    assert status == 200
    assert {"/health", "/ready", "/queue", "/messages/{message_id}", "/flush"} <= set(description["paths"])


def test_a_message_is_described_or_is_not_there(app: FastAPI) -> None:
    assert ask(app, "/messages/7", "secret") == (200, ENTRY.model_dump())
    assert ask(app, "/messages/9", "secret")[0] == 404
    assert ask(app, "/messages/8", "secret") == (500, {"detail": "no record"})
    assert ask(app, "/queue", "secret") == (200, {"total": 1, "messages": [ENTRY.model_dump()]})


def test_ready_is_for_who_delivers(app: FastAPI, listing: OneMessage) -> None:
    assert ask(app, "/ready") == (200, {"status": "ready"})
    listing.ready = False
    assert ask(app, "/ready")[0] == 503
    assert ask(app, "/health")[0] == 200


def test_a_status_without_the_bus_is_told(app: FastAPI, listing: OneMessage) -> None:
    assert ask(app, "/status", "secret")[1]["status"] == "status: idle"
    listing.bus_is_there = False
    assert ask(app, "/status", "secret") == (503, {"detail": "the bus is away: gone"})
