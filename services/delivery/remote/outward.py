"""The sender that other hosts are told: qmail's private conventions stay in the house. Pure.

Source: addresses(5) and qmail-send.c: `#@[]` sends a double bounce, `base-@[]` asks for VERP (whose usual form the
queue has resolved by now); RFC 5321 4.1.2 for what a Reverse-path may be.
"""

from __future__ import annotations

from qmail.message.address import split

_VERP = b"-@[]"
_NOWHERE = b"[]"


def outward(sender: bytes, no_host: bytes) -> bytes:
    """The sender as a valid Reverse-path, `no_host` (control/envnoathost) in the place of a missing domain.

    Where nobody could be told of a failure it is the null sender."""
    if sender.endswith(_VERP):
        sender = sender[: -len(_VERP)]
    local, domain = split(sender)
    if not local or domain == _NOWHERE:
        return b""
    return sender if domain else local + b"@" + no_host
