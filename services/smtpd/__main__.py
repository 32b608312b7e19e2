"""`python -m services.smtpd`: the door for mail."""

from __future__ import annotations

import os
import sys

from qmail.bus.connect import CredentialsError
from qmail.door.admission import Admission
from qmail.door.processes import run_processes
from qmail.role.interfaces import read_interfaces
from qmail.role.loop import run
from services.smtpd.plugin import load_plugin
from services.smtpd.service import serve
from services.smtpd.settings import DOORS, SettingsError, check, read_settings


def main() -> int:
    try:
        settings = read_settings(os.environ)
        check(settings, read_interfaces())
        make_plugin = load_plugin(settings.paths)
    except SettingsError as error:
        print(f"smtpd: fatal: {error}", file=sys.stderr)
        return 78
    admission = Admission(settings.processes, DOORS)

    def one() -> int:
        admission.claim_row()
        try:
            run(serve(settings, admission, make_plugin and make_plugin()))
        except SettingsError as error:
            print(f"smtpd: fatal: {error}", file=sys.stderr)
            return 78
        except (CredentialsError, OSError) as error:
            print(f"smtpd: fatal: {error}", file=sys.stderr)
            return 111
        return 0

    return run_processes(settings.processes, one)


if __name__ == "__main__":
    sys.exit(main())
