"""The HTTP server of the queue role takes no signal: TERM is the role's, which ends everything in order."""

from __future__ import annotations

import ast
import signal

import uvicorn

from services.queue.api.server import HttpServer
from tests.support.source import ROOT


def test_it_captures_no_signal() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with HttpServer(uvicorn.Config(lambda: None)).capture_signals():
        assert {number: signal.getsignal(number) for number in before} == before


def test_nothing_private_of_uvicorn_is_used() -> None:
    tree = ast.parse((ROOT / "services" / "queue" / "api" / "server.py").read_text(encoding="utf-8"))
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert [name for name in names if name.startswith("_") and not name.endswith("__")] == []
