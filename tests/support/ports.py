"""Ports of loopback for servers that a test or a benchmark starts."""

from __future__ import annotations

import random
import socket
from pathlib import Path

# Below lie the ports that programs have as a matter of habit.
LOWEST, HIGHEST = 10000, 65535
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def candidates(ephemeral: str) -> list[int]:
    """The ports that the kernel does not give to connections by itself; all of them where it gives all."""
    first, last = map(int, ephemeral.split())
    every = range(LOWEST, HIGHEST + 1)
    return [port for port in every if not first <= port <= last] or list(every)


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Different ports that nobody listens on. Until the server listens, only another server can take them, and it
    would have to choose the same of thousands."""
    possible = candidates(EPHEMERAL.read_text())
    random.shuffle(possible)
    free = (port for port in possible if _is_free(port, kind))
    return [next(free) for _ in range(count)]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One."""
    return free_ports(1, kind)[0]


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
