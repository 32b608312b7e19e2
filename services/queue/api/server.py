"""The HTTP interface's server, in the role's own loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from services.queue.settings import HttpListen


class HttpServer(uvicorn.Server):
    """Leaves the signals to the role, which ends everything in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(app: FastAPI, listen: HttpListen) -> None:
    config = uvicorn.Config(
        app,
        host=listen.host,
        port=listen.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=64,
    )
    await HttpServer(config).serve()
