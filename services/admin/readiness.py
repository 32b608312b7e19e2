"""`ready`: every role of a deployment answers."""

from __future__ import annotations

import asyncio

from qmail import health
from services.admin.places import Places
from services.admin.probes import LISTENS, fetch, greets, listening
from services.admin.run_settings import HOST, RunSettings

GREETINGS = (
    ("SMTP_PORT", b"220"),
    ("SUBMISSION_PORT", b"220"),
    ("POP3_PORT", b"+OK"),
    ("IMAP_PORT", b"* OK"),
)


async def missing(settings: RunSettings, places: Places, monitor_port: int) -> list[str]:
    """The names of what does not answer yet; empty when the deployment is ready."""
    checks = [greets(HOST, settings.ports[name], greeting) for name, greeting in GREETINGS]
    answers = await asyncio.gather(*checks)
    silent = [name for (name, _), answered in zip(GREETINGS, answers, strict=True) if not answered]
    token = (places.paths.credentials / "http.token").read_text(encoding="ascii").strip()
    status, _ = await fetch(HOST, settings.ports["HTTP_PORT"], "/ready", token)
    if status != 200:
        silent.append("HTTP_PORT")
    heard = await listening(HOST, monitor_port)
    silent += [role for role, subject in LISTENS.items() if subject not in heard.get(role, ())]
    if not (places.paths.run / health.FILE).exists():
        silent.append("admin")
    return silent
