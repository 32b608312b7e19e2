"""The control files that decide where a recipient goes, read together."""

from __future__ import annotations

from qmail.control.files import Control
from qmail.control.routing import Routes
from qmail.control.table import ENVNOATHOST, LOCALS, ME, PERCENTHACK, VIRTUALDOMAINS


def read_routes(control: Control) -> Routes:
    """The routes of a deployment. Raises ControlError where a file is not fit to be read or control/me is missing."""
    me = control.get(ME)
    names = control.get(LOCALS)
    return Routes(
        locals=names if names is not None else frozenset({me.lower()}),
        virtualdomains=control.get(VIRTUALDOMAINS),
        percenthack=control.get(PERCENTHACK),
        envnoathost=control.get(ENVNOATHOST),
    )
