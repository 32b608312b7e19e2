"""The sender that other hosts are told: qmail's private conventions stay in the house. Pure.

Source: addresses(5) and qmail-send.c: `#@[]` sends a double bounce, `base-@[]` asks for VERP (whose usual form the
queue has resolved by now); RFC 5321 4.1.2 for what a Reverse-path may be.
"""

from __future__ import annotations

from qmail.message.address import NULL_SENDER, Address

_NOWHERE = b"[]"


def outward(sender: Address, no_host: bytes) -> Address:
    """The sender as a valid Reverse-path, `no_host` (control/envnoathost) in the place of a missing domain.

    Where nobody could be told of a failure it is the null sender."""
    sender = sender.without_verp()
    if not sender.local or sender.domain == _NOWHERE:
        return NULL_SENDER
    return sender if sender.domain else Address.join(sender.local, no_host)
