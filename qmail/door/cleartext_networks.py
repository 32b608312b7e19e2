"""control/cleartextnets: networks from which people log in without TLS. While there are some, it stands."""

from __future__ import annotations

from qmail.control.files import Control, ControlError
from qmail.control.kinds import Network
from qmail.control.table import CLEARTEXTNETS
from qmail.log.notices import Notices


class CleartextNetworks:
    """The networks of one door as of now."""

    def __init__(self, control: Control, notices: Notices) -> None:
        self._control = control
        self._notices = notices
        self.current()

    def current(self) -> tuple[Network, ...]:
        """None of them while the file cannot be read, which is an alert already."""
        try:
            networks = self._control.get(CLEARTEXTNETS)
        except ControlError:
            return ()
        if networks:
            shown = ", ".join(map(str, networks))
            self._notices.stands(
                CLEARTEXTNETS.name, f"control/cleartextnets: passwords cross the network in clear: {shown}"
            )
        else:
            self._notices.mended(CLEARTEXTNETS.name)
        return networks
