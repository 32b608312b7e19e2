"""Our own addresses: control/localips, which stands for what qmail reads from the interfaces (ipme).

Behind address translation the interfaces do not show the address that the world sees.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from qmail.control.files import Control
from qmail.control.table import LOCALIPS
from qmail.role.interfaces import read_interfaces

_ALWAYS = frozenset({"127.0.0.1", "0.0.0.0", "::1", "::"})


def own_addresses(control: Control, environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The addresses of control/localips; without it ADDRESS and those of this host's interfaces.

    Raises ControlError."""
    listed = control.get(LOCALIPS)
    if listed is not None:
        return listed
    found = frozenset(str(interface.ip) for interface in read_interfaces())
    return _ALWAYS | found | {environ.get("ADDRESS", "127.0.0.1")}
