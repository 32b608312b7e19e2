"""Where a door listens: addresses and ports, as the environment says them, and their sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qmail.role.interfaces import host_to_listen

#: Ports on which TLS begins with the first byte unless a listener says otherwise (RFC 8314 section 3).
IMPLICIT_TLS_PORTS = frozenset({465, 993, 995})
#: A client that says nothing is asked by TCP whether its machine is still there; accepted sockets inherit this.
KEEPALIVE_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An address to listen on. Port 0: any free one. Each `door` of a role has a budget of connections of its own."""

    host: str
    port: int
    tls: bool = False
    door: str = ""


def parse_listeners(text: str, door: str = "") -> tuple[Listener, ...]:
    """`0.0.0.0:110,[::1]:2110,0.0.0.0:2995/tls`; ports 465, 993 and 995 are `/tls` unless `/plain` is said.

    Raises ValueError.
    """
    return tuple(replace(_parse_listener(item.strip()), door=door) for item in text.split(",") if item.strip())


def read_listeners(text: str, environ: Mapping[str, str], door: str = "") -> tuple[Listener, ...]:
    """What parse_listeners reads, on LISTEN_NETWORK where that is set (qmail.role.interfaces). Raises ValueError."""
    return tuple(replace(each, host=host_to_listen(each.host, environ)) for each in parse_listeners(text, door))


def _parse_listener(item: str) -> Listener:
    address, _, mode = item.partition("/")
    host, colon, number = address.rpartition(":")
    if not colon or not number.isdecimal() or int(number) > 65535 or mode not in ("", "tls", "plain"):
        raise ValueError(f"not a listener: {item!r}; expected host:port, host:port/tls or host:port/plain")
    tls = mode == "tls" or (mode == "" and int(number) in IMPLICIT_TLS_PORTS)
    return Listener(host=host.strip("[]"), port=int(number), tls=tls)


def bind_all(listeners: Sequence[Listener]) -> list[socket.socket]:
    """A bound socket for each, not listening yet. Raises OSError, and then nothing stays bound."""
    sockets: list[socket.socket] = []
    with _closing_on_error(sockets):
        for listener in listeners:
            sockets.append(_bind(listener))
    return sockets


def _bind(listener: Listener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    with _closing_on_error([sock]):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((listener.host, listener.port))
        sock.settimeout(0)
    return sock


@contextlib.contextmanager
def _closing_on_error(sockets: list[socket.socket]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
