"""The queue role's HTTP interface, asked by qmailctl."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Its name on the network that it shares with admin alone.
DEFAULT_URL = "http://queue-http:2180"
TIMEOUT_SECONDS = 10.0
PAGE = 1000
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class QueueUnreachable(Exception):
    """The queue does not answer, or refuses; the text says where it was looked for."""


class QueueClient:
    """One queue; the token is that of `http.token` among the queue's credentials."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    @classmethod
    def find(cls, environ: Mapping[str, str], credentials: Path) -> QueueClient:
        """By QUEUE_URL. Raises OSError where the token is not readable."""
        token = (credentials / "http.token").read_text(encoding="ascii").strip()
        return cls(environ.get("QUEUE_URL") or DEFAULT_URL, token)

    def status(self) -> dict[str, Any]:
        """Counts and the status line. Raises QueueUnreachable."""
        return self._call("GET", "/status")

    def messages(self) -> list[dict[str, Any]]:
        """Every message, oldest first. Raises QueueUnreachable."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"/queue?limit={PAGE}&offset={len(found)}")["messages"]
            found += page
            if len(page) < PAGE:
                return found

    def command(self, name: str) -> dict[str, Any]:
        """flush, reload, pause or cont. Raises QueueUnreachable."""
        return self._call("POST", f"/{name}")

    def _call(self, method: str, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(self._url + path, method=method, headers=headers)
        try:
            # No proxy: the queue is a neighbour.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                result: dict[str, Any] = json.loads(answer.read(MAX_ANSWER_BYTES))
                return result
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise QueueUnreachable(f"queue at {self._url}: {getattr(error, 'reason', error)}") from error
