"""`ready`: every role of a deployment answers, asked in its own protocol."""

from __future__ import annotations

import asyncio
import json

from qmail.bus.talk import ask_pass
from qmail.control.routing import LOCAL, REMOTE
from qmail.queue.talk import jobs
from qmail.queue.talk.reports import report_subject
from services.admin.directories import Directories
from services.queue.bounce.talk import BOUNCE
from supervise.http_client import TIMEOUT_SECONDS, fetch
from supervise.settings import HOST, RunSettings

GREETINGS = {"SMTP_PORT": b"220", "SUBMISSION_PORT": b"220", "POP3_PORT": b"+OK", "IMAP_PORT": b"* OK"}
# What each role without a port of its own listens to when it is ready: how the subject begins.
LISTENS = {
    "queue": report_subject(LOCAL),
    "bounce": BOUNCE,
    "delivery-local": jobs.subject(LOCAL),
    "delivery-remote": jobs.subject(REMOTE),
    "auth": ask_pass.SUBJECT,
    "log": "_INBOX_log.events.",
}


class Readiness:
    """What has not answered yet; whoever answered once is not asked again."""

    def __init__(self, settings: RunSettings, directories: Directories, monitor_port: int) -> None:
        self._settings, self._directories, self._monitor_port = settings, directories, monitor_port
        self._silent = {*GREETINGS, "HTTP_PORT", *LISTENS, "admin"}

    async def missing(self) -> str:
        """Ask whoever is silent; who still is, nothing when nobody is."""
        asking = [self._greets(name) for name in GREETINGS if name in self._silent]
        self._silent.difference_update(filter(None, await asyncio.gather(*asking)))
        if "HTTP_PORT" in self._silent and (await fetch(HOST, self._settings.ports["HTTP_PORT"], "/ready"))[0] == 200:
            self._silent.remove("HTTP_PORT")
        if self._silent & set(LISTENS):
            self._silent -= await self._listening()
        # admin's last step: streams are made, mail is taken from this machine's programs.
        if (self._directories.paths.run / "queue").is_socket():
            self._silent.discard("admin")
        return f"no answer yet from {', '.join(sorted(self._silent))}" if self._silent else ""

    async def _greets(self, name: str) -> str | None:
        """The name where the first line begins as it should (220, +OK, * OK)."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(HOST, self._settings.ports[name])
                try:
                    return name if (await reader.readline()).startswith(GREETINGS[name]) else None
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return None

    async def _listening(self) -> set[str]:
        """Roles that listen to what they should at this moment, as the bus sees it (/connz)."""
        status, body = await fetch(HOST, self._monitor_port, "/connz?subs=1&auth=1&limit=1024")
        connections = json.loads(body).get("connections", []) if status == 200 else []
        heard = [
            (connection.get("authorized_user"), subject)
            for connection in connections
            for subject in connection.get("subscriptions_list") or ()
        ]
        return {role for role, subject in heard if role in LISTENS and subject.startswith(LISTENS[role])}
