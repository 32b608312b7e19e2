"""`ready`: every role of a deployment answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from services.admin.directories import Places
from supervise.probes import LISTENS, fetch, greets, listening
from supervise.settings import HOST, RunSettings

GREETINGS = {"SMTP_PORT": b"220", "SUBMISSION_PORT": b"220", "POP3_PORT": b"+OK", "IMAP_PORT": b"* OK"}


class Readiness:
    """What has not answered yet; whoever answered once is not asked again."""

    def __init__(self, settings: RunSettings, places: Places, monitor_port: int) -> None:
        self._settings, self._places, self._monitor_port = settings, places, monitor_port
        self.silent = {*GREETINGS, "HTTP_PORT", *LISTENS, "admin"}

    async def ask(self) -> bool:
        """Ask whoever is silent; True when nobody is."""
        asking = [self._greets(name) for name in GREETINGS if name in self.silent]
        answered = {name for name in await asyncio.gather(*asking) if name is not None}
        if "HTTP_PORT" in self.silent and await self._queue_is_ready():
            answered.add("HTTP_PORT")
        if self.silent & set(LISTENS):
            heard = await listening(HOST, self._monitor_port)
            answered |= {role for role, subject in LISTENS.items() if _begins(heard.get(role, ()), subject)}
        # admin's last step: streams are made, logs are read, mail is taken from this machine's programs.
        if (self._places.paths.run / "queue").is_socket():
            answered.add("admin")
        self.silent -= answered
        return not self.silent

    async def _greets(self, name: str) -> str | None:
        return name if await greets(HOST, self._settings.ports[name], GREETINGS[name]) else None

    async def _queue_is_ready(self) -> bool:
        status, _ = await fetch(HOST, self._settings.ports["HTTP_PORT"], "/ready")
        return status == 200


def _begins(subjects: Iterable[str], with_this: str) -> bool:
    return any(subject.startswith(with_this) for subject in subjects)
