"""Mail to other hosts by QMQP, where control/qmqpservers has servers that do the rest: qmail-qmqpc(8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from qmail.message.address import Address
from qmail.message.qmqp import ACCEPTED, QmqpError, parse_answer, render_request
from services.delivery.remote import replies
from services.delivery.remote.transfer import Chunks, MessageUnreadableError, readable
from services.delivery.remote.wire import ConnectionLostError, Wire

#: qmail-qmqpc's own.
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0

OpenWire = Callable[[str, int], Awaitable[Wire]]
Server = tuple[str, int]


class _NotSentError(Exception):
    """The server did not get the whole message: the next one may."""


async def send(
    open_wire: OpenWire,
    servers: Sequence[Server],
    addresses: tuple[Address, Sequence[Address]],
    size_bytes: int,
    chunks: Chunks,
    before_end: Callable[[], None],
) -> list[bytes]:
    """The message to the first server that takes it whole, `addresses` being sender and recipients; the parts of a
    report. Once a server has it all, no other is asked: it may have the message, whatever becomes of its answer."""
    sender, recipients = addresses
    head, tail = render_request(size_bytes, sender.raw, [recipient.raw for recipient in recipients])
    for ip, port in servers:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                wire = await open_wire(ip, port)
        except OSError:
            continue
        try:
            await _write_all(wire, head, tail, chunks, before_end)
            letter, text = await _read_answer(wire)
        except _NotSentError:
            continue
        except MessageUnreadableError:
            return [replies.MESSAGE_UNREADABLE]
        except (QmqpError, ConnectionLostError, OSError):
            return [replies.dropped(ip.encode(), critical=True)]
        finally:
            wire.close()
        return _report(letter, text, ip.encode(), len(recipients))
    return [replies.NO_QMQP_SERVER]


async def _write_all(wire: Wire, head: bytes, tail: bytes, chunks: Chunks, before_end: Callable[[], None]) -> None:
    """Raises _NotSentError, MessageUnreadableError; the server has nothing whole then."""
    try:
        await _write(wire, head)
        async for piece in readable(chunks):
            await _write(wire, piece)
        before_end()
        await _write(wire, tail)
    except (ConnectionLostError, OSError) as error:
        raise _NotSentError from error


async def _write(wire: Wire, data: bytes) -> None:
    wire.write(data)
    async with asyncio.timeout(IDLE_SECONDS):
        await wire.drain()


async def _read_answer(wire: Wire) -> tuple[bytes, bytes]:
    received = b""
    while (answer := parse_answer(received)) is None:
        async with asyncio.timeout(IDLE_SECONDS):
            received += await wire.read()
    return answer


def _report(letter: bytes, text: bytes, address: bytes, recipients: int) -> list[bytes]:
    said = text.rstrip(b"\n") + b"\n"
    if letter == ACCEPTED:
        return [replies.RECIPIENT_ACCEPTED] * recipients + [replies.closing(b"K", address, b" accepted message", said)]
    return [replies.closing(letter + b"Connected to ", address, b" but the message was not taken", said)]
