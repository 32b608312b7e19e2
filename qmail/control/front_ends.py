"""control/authfrontends: webmails and balancers through which many people log in.

Such an address has no budget of its own for wrong passwords, and what it says of its clients' addresses is believed.
"""

from __future__ import annotations

import ipaddress

from qmail.control.files import Control, ControlError
from qmail.control.table import AUTHFRONTENDS


def client_ip(control: Control, peer_ip: str, told: bytes) -> str:
    """The client's address: what a listed front end has told, else the peer's."""
    if not told or not is_front_end(control, peer_ip):
        return peer_ip
    try:
        return str(ipaddress.ip_address(told.decode("ascii")))
    except ValueError:
        return peer_ip


def is_front_end(control: Control, ip: str) -> bool:
    """Whether this address is listed; no for what is no address, and while the file cannot be read (which stands)."""
    try:
        networks = control.get(AUTHFRONTENDS)
        address = ipaddress.ip_address(ip) if networks else None
    except (ControlError, ValueError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address is not None and any(address in network for network in networks)
