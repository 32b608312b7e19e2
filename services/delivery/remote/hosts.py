"""/etc/hosts (hosts(5)): names that the DNS does not know, as in an intranet without one."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

HOSTS = Path("/etc/hosts")
MAX_BYTES = 1024 * 1024


class HostsFile:
    """Read again when it changes; a file that is not there has no names."""

    def __init__(self, path: Path = HOSTS) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._addresses: dict[bytes, list[str]] = {}

    def find(self, name: bytes) -> list[str]:
        """The addresses of a name, in the order of the lines. Never raises."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                with self._path.open("rb") as file:
                    self._addresses = parse_hosts(file.read(MAX_BYTES))
                self._stamp = stamp
        except OSError:
            return []
        return self._addresses.get(name.lower().removesuffix(b"."), [])


def parse_hosts(content: bytes) -> dict[bytes, list[str]]:
    """Addresses by name, in lower case. Loopback addresses are this host's own business and no way to another one."""
    addresses: dict[bytes, list[str]] = {}
    for line in content.split(b"\n"):
        first, *names = line.partition(b"#")[0].split() or [b""]
        try:
            address = ipaddress.ip_address(first.decode("ascii"))
        except ValueError:
            continue
        if not (address.is_loopback or address.is_multicast or address.is_unspecified):
            for name in names:
                addresses.setdefault(name.lower(), []).append(str(address))
    return addresses
