"""The queue role's HTTP interface (inside only): health, readiness, the queue's list, one message, commands.

Every request but /health and /ready needs the bearer token of `<credentials>/http.token`.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from qmail.bus.ports import BusDown, TemporaryError
from qmail.message.envelope import EnvelopeError
from services.queue.api.listing import Listing, QueueEntry


class Status(BaseModel):
    """Whether the scheduler works, and how much it has to do."""

    ready: bool = Field(description="the memory has been rebuilt and old mail is being delivered")
    paused: bool
    messages: int = Field(description="messages in the queue")
    unread: int = Field(description="records of accepted messages that the scheduler has not read yet")
    running: int = Field(description="deliveries under way")
    status: str = Field(description="qmail-send's status line")


class QueueList(BaseModel):
    """A page of the queue, oldest first."""

    total: int
    messages: list[QueueEntry]


class Faults(BaseModel):
    """What a reload found wrong; empty: the new files are in force."""

    faults: list[str]


def _listing(request: Request) -> Listing:
    listing: Listing = request.app.state.listing
    return listing


def _require_token(request: Request) -> None:
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {request.app.state.token}".encode()):
        raise HTTPException(401, "expected the bearer token of credentials/http.token")


Queue = Annotated[Listing, Depends(_listing)]
_open = APIRouter()
_closed = APIRouter(dependencies=[Depends(_require_token)])


def make_app(listing: Listing, token: str) -> FastAPI:
    """The application over one scheduler."""
    # The pages that FastAPI adds by itself would be open to everybody, and of no use to a browser without the token.
    app = FastAPI(
        title="qmail queue", version="1", description=__doc__ or "", openapi_url=None, docs_url=None, redoc_url=None
    )
    app.state.listing, app.state.token = listing, token
    app.include_router(_open)
    app.include_router(_closed)
    return app


@_open.get("/health", summary="200 while this process answers")
async def health() -> dict[str, str]:
    """Whether the bus is there is not asked."""
    return {"status": "ok"}


@_open.get("/ready", summary="200 when old and new mail is being delivered, else 503")
async def ready(queue: Queue) -> dict[str, str]:
    """Not while the bus is away."""
    if not queue.is_ready():
        raise HTTPException(503, "the bus is away, or the memory is being rebuilt")
    return {"status": "ready"}


@_closed.get("/status")
async def status(queue: Queue) -> Status:
    """Whether the scheduler works, and how much it has to do."""
    try:
        return Status(**await queue.status())
    except BusDown as error:
        raise HTTPException(503, f"the bus is away: {error}") from error


@_closed.get("/queue")
async def queue(listing: Queue, limit: Annotated[int, Field(ge=1, le=1000)] = 100, offset: int = 0) -> QueueList:
    """A page of the queue, oldest first."""
    return QueueList(total=listing.total(), messages=await listing.page(offset, limit))


@_closed.get("/messages/{message_id}")
async def message(queue: Queue, message_id: int) -> QueueEntry:
    """One message of the queue."""
    try:
        entry = await queue.entry(message_id)
    except EnvelopeError as error:
        raise HTTPException(500, str(error)) from error
    if entry is None:
        raise HTTPException(404, "no such message in the queue")
    return entry


@_closed.post("/flush", summary="SIGALRM: everything that waits is due now")
async def flush(queue: Queue) -> dict[str, Any]:
    """qmail-send(8)."""
    queue.service.flush()
    return {"ok": True}


@_closed.post("/pause", summary="start no deliveries, whatever restarts meanwhile, until /cont")
async def pause(queue: Queue) -> dict[str, Any]:
    """What runs goes on."""
    return await _set_pause(queue, paused=True)


@_closed.post("/cont")
async def cont(queue: Queue) -> dict[str, Any]:
    """Start deliveries again."""
    return await _set_pause(queue, paused=False)


async def _set_pause(queue: Listing, *, paused: bool) -> dict[str, Any]:
    try:
        await queue.service.pause(paused=paused)
    except TemporaryError as error:
        raise HTTPException(503, f"done, but a restart of the queue will forget it: {error}") from error
    return {"ok": True}


@_closed.post("/reload", summary="SIGHUP: take new locals and virtualdomains")
async def reload(queue: Queue) -> Faults:
    """All of them, or none."""
    return Faults(faults=queue.service.reload())


@_closed.get("/openapi.json", include_in_schema=False)
async def description(request: Request) -> dict[str, Any]:
    """What this page describes."""
    found: dict[str, Any] = request.app.openapi()
    return found
