"""Which channel a recipient goes to, and as what address: locals, virtualdomains, percenthack, envnoathost.

Source: qmail-send(8) and qmail-send.c rewrite().
"""

from __future__ import annotations

from dataclasses import dataclass

from qmail.control import Control

LOCAL = "local"
REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Route:
    """The channel and the address that the delivery program is given."""

    channel: str
    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The control files that decide, read together; keys are lower case."""

    locals: frozenset[bytes]
    virtualdomains: dict[bytes, bytes]
    percenthack: frozenset[bytes]
    envnoathost: bytes

    def route(self, recipient: bytes) -> Route:
        """Where a recipient of an envelope goes."""
        local, at, domain = recipient.rpartition(b"@")
        if not at:
            local, domain = recipient, self.envnoathost
        while domain.lower() in self.percenthack and b"%" in local:
            local, _, domain = local.rpartition(b"%")
        address = local + b"@" + domain
        if domain.lower() in self.locals:
            return Route(LOCAL, address)
        prefix = self._prefix(address, len(local))
        if prefix:
            return Route(LOCAL, prefix + b"-" + address)
        return Route(REMOTE, address)

    def _prefix(self, address: bytes, at: int) -> bytes:
        """The value of the first key that fits: the whole address, the domain, .parents, the empty key."""
        folded = address.lower()
        starts = [0, at + 1]
        starts += [i for i in range(at + 2, len(folded)) if folded[i : i + 1] == b"."]
        starts.append(len(folded))
        for start in starts:
            found = self.virtualdomains.get(folded[start:])
            if found is not None:
                return found
        return b""

    def without_prefix(self, address: bytes) -> bytes:
        """The address as the sender knew it, without a virtual domain's prefix (for bounces)."""
        at = address.rfind(b"@")
        if at < 0 or address[at + 1 :].lower() in self.locals:
            return address
        folded = address.lower()
        for start in self._ends(folded, at):
            prefix = self.virtualdomains.get(folded[start:])
            if prefix is None:
                continue
            if prefix and folded.startswith(prefix.lower() + b"-"):
                return address[len(prefix) + 1 :]
            return address
        return address

    @staticmethod
    def _ends(folded: bytes, at: int) -> list[int]:
        dots = [i for i in range(at + 2, len(folded)) if folded[i : i + 1] == b"."]
        return [at + 1, *dots, len(folded)]


def _parse_virtualdomains(lines: list[bytes]) -> dict[bytes, bytes]:
    table: dict[bytes, bytes] = {}
    for line in lines:
        key, colon, value = line.partition(b":")
        if colon:
            table.setdefault(key.lower(), value)
    return table


def read_routes(control: Control) -> Routes:
    """The routes of a deployment. Raises ControlError where a file is unreadable or control/me is missing."""
    me = control.line_or_me("me")
    local_lines = control.lines("locals")
    return Routes(
        locals=frozenset(line.lower() for line in (local_lines if local_lines is not None else [me])),
        virtualdomains=_parse_virtualdomains(control.lines("virtualdomains") or []),
        percenthack=frozenset(line.lower() for line in control.lines("percenthack") or []),
        envnoathost=control.line_or_me("envnoathost", me),
    )


def check_routes(control: Control) -> list[str]:
    """What is wrong with locals and virtualdomains, one line each: file, line, what was expected."""
    faults: list[str] = []
    for number, line in enumerate((control.content("virtualdomains") or b"").split(b"\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#") and b":" not in stripped:
            faults.append(f"{control.directory / 'virtualdomains'}:{number}: expected domain:prefix")
    for number, line in enumerate((control.content("locals") or b"").split(b"\n"), 1):
        if any(c in line.rstrip(b" \t") for c in b" \t:@"):
            if not line.startswith(b"#"):
                faults.append(f"{control.directory / 'locals'}:{number}: expected one domain name")
    return faults
