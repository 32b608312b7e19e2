"""A GET by HTTP/1.0: the bus's monitoring port and the queue's HTTP interface."""

from __future__ import annotations

import asyncio

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024


async def fetch(host: str, port: int, path: str) -> tuple[int, bytes]:
    """(status, body) of a GET by HTTP/1.0; status 0 where nobody answers."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("ascii"))
                answer = await reader.read(MAX_ANSWER_BYTES)
                while more := await reader.read(MAX_ANSWER_BYTES - len(answer)):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return 0, b""
    status, _, body = answer.partition(b"\r\n\r\n")
    words = status.split(None, 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body
