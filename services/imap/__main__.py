"""`python -m services.imap`: the door for reading mail by IMAP."""

from __future__ import annotations

import os
import sys

from qmail.accounts.identity import IdentityError
from qmail.bus.connect import CredentialsError
from qmail.bus.ports import BusDown
from qmail.control.files import ControlError
from qmail.door.admission import Admission
from qmail.door.processes import run_processes
from qmail.door.settings import SettingsError
from qmail.role.loop import run
from services.imap.door import run_door
from services.imap.settings import read_settings


def main() -> int:
    """78: the configuration is wrong (EX_CONFIG); 111: something else is, and trying again may help."""
    try:
        settings = read_settings(os.environ)
    except (SettingsError, ControlError) as error:
        print(f"imap: fatal: {error}", file=sys.stderr)
        return 78

    admission = Admission(settings.processes)

    def one() -> int:
        admission.claim_row()
        try:
            run(run_door(settings, admission))
        except (BusDown, CredentialsError, ControlError, IdentityError, OSError) as error:
            print(f"imap: fatal: {error}", file=sys.stderr)
            return 111
        return 0

    return run_processes(settings.processes, one)


if __name__ == "__main__":
    sys.exit(main())
