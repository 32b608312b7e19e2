"""Whether this deployment's name server answers."""

from __future__ import annotations

import asyncio

TIMEOUT_SECONDS = 5.0

# Recursion wanted, one question: health.internal A IN (RFC 1035 4.1).
HEALTH_QUESTION = b"qm\x01\0\0\x01" + bytes(6) + b"\x06health\x08internal\0\0\x01\0\x01"


async def name_server_answers(server: str) -> bool:
    """Whether a name server (`address` or `address:port`) answers a question about the name that is there for this
    (services/dns/health.db), by TCP (RFC 1035 4.2.2)."""
    address, _, port = server.partition(":")
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(address, int(port or 53))
            try:
                writer.write(len(HEALTH_QUESTION).to_bytes(2) + HEALTH_QUESTION)
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                return answer[:2] == HEALTH_QUESTION[:2]
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, EOFError):
        return False
