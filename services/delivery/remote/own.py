"""Our own addresses: control/localips, which stands for what qmail reads from the interfaces (ipme).

Behind address translation the interfaces do not show the address that the world sees.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from qmail.control import Control
from qmail.control_table import LOCALIPS

_ALWAYS = frozenset({"127.0.0.1", "0.0.0.0", "::1", "::"})


def own_addresses(control: Control, environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The addresses of control/localips; without it ADDRESS and those of this host's interfaces.

    Raises ControlError."""
    listed = control.get(LOCALIPS)
    if listed is not None:
        return listed
    return _ALWAYS | {environ.get("ADDRESS", "127.0.0.1")} | _interface_addresses()


def _interface_addresses() -> frozenset[str]:
    # Connecting a datagram socket sends nothing; it only picks the address that a route would use.
    found = set()
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                found.add(str(probe.getsockname()[0]))
        except OSError:
            continue
    return frozenset(found)
