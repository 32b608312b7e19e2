"""Who is connected to the bus, asked of its system account with a user that may do nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qmail.bus.connect import connect
from qmail.paths import Paths
from services.admin.bus_rights import STAT_USER

ASK = "$SYS.REQ.SERVER.PING.CONNZ"
ARGUMENTS = json.dumps({"auth": True, "limit": 1024}).encode()
TIMEOUT_SECONDS = 5.0


async def read_connections(paths: Paths, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """The connections as the server lists them (its /connz). Raises BusDown, CredentialsError."""
    bus = await connect(STAT_USER, paths, environ)
    try:
        answer = json.loads(await bus.request(ASK, ARGUMENTS, TIMEOUT_SECONDS))
    finally:
        await bus.close()
    found: list[dict[str, Any]] = answer["data"]["connections"]
    return found
