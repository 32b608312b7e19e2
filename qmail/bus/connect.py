"""A role's way onto the bus: its credentials, its connection, and waiting until its streams are there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown
from qmail.paths import Paths

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


async def connect(role: str, paths: Paths, environ: Mapping[str, str]) -> JetStreamBus:
    """Connect as a role (BUS_URL), trying until the bus answers. Raises CredentialsError."""
    user, password = read_credentials(paths, role)
    bus = JetStreamBus(inbox_prefix=f"_INBOX_{role}")
    await bus.connect(environ.get("BUS_URL", DEFAULT_URL), user, password, role)
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
