"""`python -m services.programs NAME ...`: the program of that name. Only its own module is read: it may run once a
message."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

_ELSEWHERE = (
    "checkpassword", "fghack", "qmail-clean", "qmail-local", "qmail-lspawn", "qmail-pop3d", "qmail-popup",
    "qmail-qread", "qmail-qstat", "qmail-remote", "qmail-rspawn", "qmail-send", "qmail-showctl", "qmail-smtpd",
    "qmail-start", "readproctitle", "supervise", "svc", "svok", "svscan", "svscanboot", "svstat", "tcprules",
    "tcprulescheck", "tcpserver",
)  # fmt: skip
# Program -> the module here that has it in its PROGRAMS.
PROGRAMS = {
    **dict.fromkeys(("bouncesaying", "except"), "conditions"),
    **dict.fromkeys(("condredirect", "forward"), "forward"),
    **dict.fromkeys(("preline", "predate"), "prepend"),
    **dict.fromkeys(_ELSEWHERE, "elsewhere"),
    "maildirmake": "maildirmake",
    "multilog": "multilog",
    "qbiff": "qbiff",
    "qmail-getpw": "getpw",
    **dict.fromkeys(("qmail-newmrh", "qmail-newu"), "tables"),
    **dict.fromkeys(("envdir", "envuidgid", "pgrphack", "setlock", "setuidgid", "softlimit"), "limits"),
    **dict.fromkeys(("tai64n", "tai64nlocal"), "tai"),
    "splogger": "splogger",
}


def main(name: str, arguments: Sequence[bytes]) -> int:
    """Its exit code."""
    program = import_module(f"services.programs.{PROGRAMS[name]}").PROGRAMS[name]
    return int(program(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], [os.fsencode(argument) for argument in sys.argv[2:]]))
