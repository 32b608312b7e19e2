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


def make_app(listing: Listing, token: str) -> FastAPI:  # noqa: C901 - a route for each path
    """The application over one scheduler."""
    # The pages that FastAPI adds by itself would be open to everybody, and of no use to a browser without the token.
    app = FastAPI(
        title="qmail queue", version="1", description=__doc__ or "", openapi_url=None, docs_url=None, redoc_url=None
    )

    def authorized(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "expected the bearer token of credentials/http.token")

    closed = APIRouter(dependencies=[Depends(authorized)])

    async def set_pause(paused: bool) -> None:
        try:
            await listing.service.pause(paused)
        except TemporaryError as error:
            raise HTTPException(503, f"done, but a restart of the queue will forget it: {error}") from error

    @app.get("/health", summary="200 while this process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready", summary="200 when old and new mail is being delivered, else 503")
    async def ready() -> dict[str, str]:
        if not listing.is_ready():
            raise HTTPException(503, "the bus is away, or the memory is being rebuilt")
        return {"status": "ready"}

    @closed.get("/status")
    async def status() -> Status:
        try:
            return Status(**await listing.status())
        except BusDown as error:
            raise HTTPException(503, f"the bus is away: {error}") from error

    @closed.get("/queue")
    async def queue(limit: Annotated[int, Field(ge=1, le=1000)] = 100, offset: int = 0) -> QueueList:
        return QueueList(total=listing.total(), messages=await listing.page(offset, limit))

    @closed.get("/messages/{message_id}")
    async def message(message_id: int) -> QueueEntry:
        try:
            entry = await listing.entry(message_id)
        except EnvelopeError as error:
            raise HTTPException(500, str(error)) from error
        if entry is None:
            raise HTTPException(404, "no such message in the queue")
        return entry

    @closed.post("/flush", summary="SIGALRM: everything that waits is due now")
    async def flush() -> dict[str, Any]:
        listing.service.flush()
        return {"ok": True}

    @closed.post("/pause", summary="start no deliveries, whatever restarts meanwhile, until /cont")
    async def pause() -> dict[str, Any]:
        await set_pause(True)
        return {"ok": True}

    @closed.post("/cont")
    async def cont() -> dict[str, Any]:
        await set_pause(False)
        return {"ok": True}

    @closed.post("/reload", summary="SIGHUP: take new locals and virtualdomains")
    async def reload() -> Faults:
        return Faults(faults=listing.service.reload())

    @closed.get("/openapi.json", include_in_schema=False)
    async def description() -> dict[str, Any]:
        return app.openapi()

    app.include_router(closed)
    return app
