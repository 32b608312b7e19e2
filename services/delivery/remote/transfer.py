"""One message over one connection: drives the client's state machine, with time limits and backpressure."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from services.delivery.remote import replies
from services.delivery.remote.blast import ExactBlaster, PartialLineError, SafeBlaster
from services.delivery.remote.client import Client, Close, Effect, Send, SendMessage, StartTls
from services.delivery.remote.wire import ConnectionLostError, Wire

# Small messages go out in one piece, with their final dot.
_PIECE_BYTES = 32 * 1024
# A peer that keeps just moving, byte by byte, holds a delivery no longer than this.
MAX_CONVERSATION_SECONDS = 4 * 3600.0

Chunks = Callable[[], AsyncIterator[bytes]]


class NotEstablishedError(Exception):
    """Reset before the far host said anything: as good as a refused connection."""


class TlsFailedError(Exception):
    """The far host offered TLS and could not do it: worth another connection without, where none is demanded."""


class MessageUnreadableError(Exception):
    """The message's own pieces cannot be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a transfer needs: the message, who speaks, and timeoutremote in seconds.

    `before_end` is called before the final dot is sent; `tls_first`: TLS begins before anything is said (RFC 8314)."""

    client: Client
    chunks: Chunks
    before_end: Callable[[], None] = lambda: None
    exact: bool
    timeout_seconds: float
    tls_context: ssl.SSLContext
    tls_name: str
    tls_first: bool = False


async def transfer(wire: Wire, plan: Transfer) -> None:
    """Hold the whole conversation; the client's report is complete afterwards, or the client is stale.

    Raises NotEstablishedError and TlsFailedError; nothing was sent to the far host then."""
    try:
        async with asyncio.timeout(MAX_CONVERSATION_SECONDS):
            await _converse(wire, plan)
    except (ConnectionLostError, TimeoutError) as error:
        if isinstance(error, ConnectionLostError) and error.reset and not plan.client.greeted:
            raise NotEstablishedError from error
        plan.client.lost()


async def _converse(wire: Wire, plan: Transfer) -> None:
    if plan.tls_first:
        await _start_tls(wire, plan)
    pending: deque[Effect] = deque(plan.client.begin(secured=plan.tls_first))
    while pending or not plan.client.done:
        if pending:
            pending.extend(await _perform(pending.popleft(), wire, plan))
        else:
            pending.extend(plan.client.received(await _read(wire, plan)))


async def _perform(effect: Effect, wire: Wire, plan: Transfer) -> Sequence[Effect]:
    match effect:
        case Send(data):
            await _write(wire, data, plan)
        case SendMessage():
            return await _send_message(wire, plan)
        case StartTls():
            await _start_tls(wire, plan)
            return plan.client.tls_started()
        case Close():
            pass
    return ()


async def _read(wire: Wire, plan: Transfer) -> bytes:
    async with asyncio.timeout(plan.timeout_seconds):
        return await wire.read()


async def _write(wire: Wire, data: bytes, plan: Transfer) -> None:
    wire.write(data)
    # A timer costs more than to hand over a few bytes.
    if wire.is_full:
        async with asyncio.timeout(plan.timeout_seconds):
            await wire.drain()


async def _start_tls(wire: Wire, plan: Transfer) -> None:
    try:
        async with asyncio.timeout(plan.timeout_seconds):
            await wire.start_tls(plan.tls_context, plan.tls_name)
    except (OSError, ConnectionLostError) as error:
        raise TlsFailedError from error


async def _send_message(wire: Wire, plan: Transfer) -> Sequence[Effect]:
    client = plan.client
    blaster = ExactBlaster() if plan.exact else SafeBlaster()
    held = b""
    try:
        async for piece in readable(plan.chunks):
            held += blaster.feed(piece)
            if len(held) >= _PIECE_BYTES:
                await _write(wire, held, plan)
                held = b""
        held += blaster.finish()
    except PartialLineError:
        client.message_failed(replies.PARTIAL_LINE)
        return ()
    except MessageUnreadableError:
        client.message_failed(replies.MESSAGE_UNREADABLE)
        return ()
    client.message_ends()
    plan.before_end()
    await _write(wire, held, plan)
    return client.message_sent()


async def readable(chunks: Chunks) -> AsyncIterator[bytes]:
    """The message's pieces; whatever goes wrong in reading them is not the far host's doing.

    Raises MessageUnreadableError."""
    try:
        async for piece in chunks():
            yield piece
    except Exception as error:
        raise MessageUnreadableError from error
