"""The server's side of TLS on one connection: bytes in, bytes out (RFC 8446, RFC 5246). No socket, no `await`.

asyncio's and uvloop's own TLS cut a connection off when its handshake fails, before the alert is sent that tells the
client why. Here whatever OpenSSL has to say is taken and sent, alerts too; and the socket's owner counts, times and
ends the connection in the same way before, in and after the handshake.
"""

from __future__ import annotations

import ssl
from typing import Any

READ_BYTES = 65536


class Tls:
    """`established` after the handshake; `ended` when the client has said that it sends no more (close_notify)."""

    __slots__ = ("_incoming", "_object", "_outgoing", "ended", "established", "heard")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False
        #: Whether the client has said anything at all.
        self.heard = False

    def received(self, data: bytes) -> bytes:
        """What the client's bytes mean. Raises ssl.SSLError; what is to be sent is there in any case: `outgoing`."""
        self.heard = True
        self._incoming.write(data)
        if not self.established:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        return self._read()

    def _read(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._object.read(READ_BYTES):
                pieces.append(piece)
                if not (self._incoming.pending or self._object.pending()):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)  # an exception costs more than to look
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)

    def wrapped(self, data: bytes) -> bytes:
        """What to send for these bytes. After the handshake only."""
        if data:
            self._object.write(data)
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What OpenSSL wants to be sent now: its part of a handshake, an alert."""
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """What says that we send no more (close_notify), where there is a session to say it in."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass  # it wants the client's, which may come or not
        return self._outgoing.read()

    @property
    def cipher(self) -> tuple[Any, ...] | None:
        """Name, protocol, secret bits."""
        return self._object.cipher()


def reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason in its own words, as in `unsupported protocol` or `tlsv1 alert unknown ca`."""
    if not error.reason:
        return str(error)
    return error.reason.replace("_", " ").lower()
