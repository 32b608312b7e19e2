"""The way of a connection's bytes to its client: the transport, and TLS once that has begun."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from qmail.door.tls import Tls


class Wire:
    """Nothing here raises for a client that is gone: its bytes go nowhere."""

    __slots__ = ("_transport", "reading", "tls")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.reading = True
        self.tls: Tls | None = None

    @property
    def open(self) -> bool:
        """Whether it can still be written to."""
        return not self._transport.is_closing()

    def info(self, name: str) -> Any:
        """The transport's get_extra_info."""
        return self._transport.get_extra_info(name)

    def send(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if self.tls is not None:
            data = self.tls.wrapped(data)
        self._transport.write(data)

    def begin_tls(self, context: ssl.SSLContext) -> None:
        """What comes and goes from here on is TLS."""
        self.tls = Tls(context)

    def decrypt(self, data: bytes) -> bytes:
        """What these bytes mean under TLS; the answers of TLS itself are sent, an alert too. Raises ssl.SSLError."""
        assert self.tls is not None
        try:
            return self.tls.received(data)
        finally:
            self._send_raw(self.tls.outgoing())

    def _send_raw(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self.reading and not self._transport.is_closing():
            self.reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.reading and not self._transport.is_closing():
            self.reading = True
            self._transport.resume_reading()

    def end(self) -> None:
        """We send no more; the client may, and is read."""
        if self._transport.is_closing():
            return
        self._say_farewell()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Send what is to be sent, and close."""
        self._say_farewell()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was to be sent."""
        self._transport.abort()

    def _say_farewell(self) -> None:
        if self.tls is not None:
            self._send_raw(self.tls.farewell())
