"""The queue's HTTP interface of a deployment that `make run` has started."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.support.make_run import MakeRun

ANSWER_SECONDS = 20.0


def ask(deployment: MakeRun, path: str, *, post: bool = False) -> dict[str, Any]:
    """The answer; {} while nobody answers."""
    token = (deployment.directory / "credentials" / "http.token").read_text().strip()
    url = f"http://127.0.0.1:{deployment.ports['HTTP_PORT']}{path}"
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=b"" if post else None, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
    return found


def status(deployment: MakeRun) -> dict[str, Any]:
    """The queue's state; {} while nobody answers."""
    return ask(deployment, "/status")


def flush(deployment: MakeRun) -> bool:
    """Make due what waits; whether somebody heard it."""
    return bool(ask(deployment, "/flush", post=True))


def is_empty(deployment: MakeRun) -> bool:
    """Whether the scheduler works and has nothing left."""
    found = status(deployment)
    return bool(found.get("ready")) and found["messages"] == 0 and found["unread"] == 0
