"""`qmailctl check USER@DOMAIN`: whether badmailfrom and badrcptto would refuse an address, and by which entry."""

from __future__ import annotations

import os

from qmail.control.files import Control
from qmail.control.table import BADMAILFROM, BADRCPTTO
from qmail.message.address import Address
from qmail.message.printable import printable
from services.admin.commands.deployment import Deployment, Usage


def check_address(deployment: Deployment, arguments: list[str]) -> int:
    """Say it. Raises Usage, ControlError."""
    if len(arguments) != 1:
        raise Usage
    address = Address(os.fsencode(arguments[0]))
    control = Control(deployment.directories.paths.control)
    for role, file in (("sender", BADMAILFROM), ("recipient", BADRCPTTO)):
        entry = control.get(file).find(address)
        verdict = "not refused by" if entry is None else f"refused by {printable(entry)} in"
        print(f"as {role}: {verdict} control/{file.name}")
    return 0
