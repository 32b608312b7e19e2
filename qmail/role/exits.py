"""How a role's process ends: its exit code, and on standard error why it could not start."""

from __future__ import annotations

import sys
from collections.abc import Callable

from qmail.bus.connect import CredentialsError
from qmail.bus.ports import TemporaryError
from qmail.control.settings import SettingsError

#: sysexits.h: a setting or a file must be set right first.
EX_CONFIG = 78
#: qmail's: something else is wrong, and trying again may help.
EX_TEMPORARY = 111


def exit_code(title: str, start: Callable[[], int | None]) -> int:
    """What `start` returns (None is 0); 78 or 111 where it raises, with `<title>: fatal: <why>` on standard error."""
    try:
        return start() or 0
    except (SettingsError, CredentialsError, TemporaryError, OSError) as error:
        print(f"{title}: fatal: {error}", file=sys.stderr)
        return EX_CONFIG if isinstance(error, SettingsError) else EX_TEMPORARY
