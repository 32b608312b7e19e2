"""maildirmake(1): an empty Maildir, its owner's alone."""

from __future__ import annotations

import os
from collections.abc import Sequence

from services.programs.program import PERMANENT, Ends, Program, of_system


def maildirmake(arguments: Sequence[bytes]) -> int:
    """Make what the first argument names."""
    if not arguments:
        raise Ends(PERMANENT, b"maildirmake: usage: maildirmake name")
    name = arguments[0]
    for path in (name, *(name + part for part in (b"/tmp", b"/new", b"/cur"))):
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            raise of_system(b"maildirmake", b"unable to mkdir " + path, error) from error
    return 0


PROGRAMS: dict[str, Program] = {"maildirmake": maildirmake}
