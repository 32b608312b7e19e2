"""Connections that stand for the next message to the same host, for seconds and in a bounded number.

Why: docs/decisions/0023-connections-to-other-hosts.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass

from services.delivery.remote.client import QUIT, Manner, Offers
from services.delivery.remote.wire import ConnectionLostError, Wire

# Other people's places: what is not used at once is given back, as Postfix does (smtp_connection_cache_time_limit,
# smtp_connection_reuse_time_limit).
IDLE_SECONDS = 2.0
MOST_SECONDS = 300.0
MAX_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a host is reached and spoken to: messages with the same way may share a connection.

    `name`: what TLS is told (SNI)."""

    ip: str
    port: int
    name: str
    manner: Manner


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One connection after a message; `since` and `idle_since` by the loop's clock."""

    wire: Wire
    offers: Offers
    since: float
    idle_since: float


class KeptConnections:
    """The connections of one process that nobody uses just now."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        # In the order of their last use.
        self._kept: OrderedDict[Wire, tuple[Way, Kept]] = OrderedDict()
        self._ways: dict[Way, list[Wire]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, way: Way) -> Kept | None:
        """The one that was used last, as far as is known it stands; whoever takes it has it alone."""
        while wires := self._ways.get(way):
            kept = self._remove(wires[-1])
            # Unread words can only be a farewell.
            if kept.wire.is_quiet:
                return kept
            kept.wire.close()
        return None

    def keep(self, way: Way, wire: Wire, offers: Offers, before: Kept | None) -> None:
        """Leave a connection to whoever comes next; `before`: as it was taken, None for a new one."""
        now = asyncio.get_running_loop().time()
        since = before.since if before else now
        if now - since > MOST_SECONDS:
            _leave(wire)
            return
        self._kept[wire] = (way, Kept(wire=wire, offers=offers, since=since, idle_since=now))
        self._ways.setdefault(way, []).append(wire)
        if len(self._kept) > MAX_KEPT:
            _leave(self._remove(next(iter(self._kept))).wire)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._look)

    def close(self) -> None:
        """Leave all of them."""
        for wire in list(self._kept):
            _leave(self._remove(wire).wire)

    def _remove(self, wire: Wire) -> Kept:
        way, kept = self._kept.pop(wire)
        wires = self._ways[way]
        wires.remove(wire)
        if not wires:
            del self._ways[way]
        return kept

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._kept:
            _, kept = next(iter(self._kept.values()))
            if (ends := kept.idle_since + self._idle_seconds) > loop.time():
                self._timer = loop.call_at(ends, self._look)
                return
            _leave(self._remove(kept.wire).wire)


def _leave(wire: Wire) -> None:
    # The reply is not awaited.
    with contextlib.suppress(ConnectionLostError):
        wire.write(QUIT)
    wire.close()
