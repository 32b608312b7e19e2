"""A role's way onto the bus: its credentials, its connection, and waiting until its streams are there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown
from qmail.bus.talk import presence
from qmail.control.paths import Paths
from qmail.log.notices import Notices

DEFAULT_URL = "nats://bus:4222"
WAIT_SECONDS = 0.25


class CredentialsError(Exception):
    """The role's credentials are missing or malformed; the text names the file and what was expected."""


def read_credentials(paths: Paths, role: str) -> tuple[str, str]:
    """User and password of a role, from `<credentials>/<role>.bus`. Raises CredentialsError."""
    path = paths.credentials / f"{role}.bus"
    try:
        user, password = path.read_text(encoding="ascii").split()
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{path}: expected one line `user password` ({error})") from error
    return user, password


async def connect(role: str, paths: Paths, environ: Mapping[str, str], notices: Notices | None = None) -> JetStreamBus:
    """Connect as a process of a role, which then says what it is and what stands (`notices`) when `qmailctl stat` asks.

    Raises as `connect_user`."""
    bus = await connect_user(role, paths, environ)
    await presence.answer(bus, role, notices)
    return bus


async def connect_user(user: str, paths: Paths, environ: Mapping[str, str]) -> JetStreamBus:
    """Connect with a user's credentials (BUS_URL), trying until the bus answers. Raises CredentialsError."""
    name, password = read_credentials(paths, user)
    bus = JetStreamBus(inbox_prefix=f"_INBOX_{user}")
    await bus.connect(environ.get("BUS_URL", DEFAULT_URL), name, password, user)
    return bus


async def wait_for_streams(bus: JetStreamBus, streams: Sequence[str]) -> None:
    """Return when every stream exists; roles never make them, admin does."""
    for stream in streams:
        while True:
            try:
                await bus.info(stream)
                break
            except (KeyError, BusDown):
                await asyncio.sleep(WAIT_SECONDS)
