"""What the connections of one process have in common: limits, the reception, TLS, and the log."""

from __future__ import annotations

import asyncio
import logging
import ssl

from qmail.bus.ports import TemporaryError
from qmail.door.certificate import ServerTls, TlsUnavailable
from qmail.door.limits import Limits
from qmail.door.listeners import Listener
from qmail.door.session import Peer, Reception
from qmail.log.log import Log
from qmail.log.notices import Refused

_log = logging.getLogger(__name__)


class Shared:
    """One for each server. Made inside a running loop."""

    def __init__(self, reception: Reception, log: Log, limits: Limits, tls: ServerTls | None) -> None:
        self.limits = limits
        self.reception = reception
        self.loop = asyncio.get_running_loop()
        #: The server was told to end.
        self.stopping = False
        self.tls = tls
        self._log = log
        self._number = 0

    def meet(self, transport: asyncio.BaseTransport, listener: Listener) -> Peer:
        """Who has come, to which of our addresses."""
        self._number += 1
        ip, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        local_ip, local_port = (transport.get_extra_info("sockname") or ("", 0))[:2]
        return Peer(ip, port, local_ip, local_port, listener.tls, listener.door, self._number)

    def tls_context(self) -> ssl.SSLContext:
        """For the next handshake. Raises TlsUnavailable."""
        if self.tls is None:
            raise TlsUnavailable("no certificate was given to the server")
        return self.tls.context()

    def refuse(self, peer: Peer, why: str) -> None:
        """Write down who was turned away."""
        self._log.notices.refused(Refused.CONNECTION, peer.ip, f"port {peer.local_port}", why)

    def refuse_tls(self, peer: Peer, how: str, why: str) -> None:
        """Write down whose handshake failed; `how`: STARTTLS or TLS."""
        self._log.notices.refused(Refused.TLS, peer.ip, f"{how} on {peer.local_port}", why)

    def answer_failed(self, peer: Peer, request: object, error: BaseException) -> None:
        """Trouble with the world outside deserves a line; anything else is a fault of ours, and a traceback too."""
        what = type(request).__name__.lower()
        self._log.line(f"{self.reception.name}: {what} {peer.number} failed: {type(error).__name__}: {error}")
        if not isinstance(error, OSError | TemporaryError):
            _log.error("%s: %s", peer.ip, what, exc_info=error)
