"""Whether PAM_USER has the password on standard input, by the hashes of authuserdb: what pam_exec(8) asks in the
image's /etc/pam.d/system-auth. Exit code 0 for yes, 1 for anything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from qmail.bus.talk.ask_pass import MAX_PASSWORD_BYTES
from qmail.control.paths import read_paths
from qmail.log.notices import Notices
from services.auth.modules.hashes import Hashes
from services.auth.modules.module import Verdict
from services.auth.modules.userdb import UserDb


def main(environ: Mapping[str, str], password: bytes) -> int:
    """The exit code. `password` has a NUL behind it, as pam_exec's expose_authtok gives it."""
    module = UserDb(Hashes(read_paths(environ).auth / "passwd", Notices(lambda _line: None)))
    verdict = module(os.fsencode(environ.get("PAM_USER", "")), password.partition(b"\0")[0], "pam")
    return 0 if verdict is Verdict.YES else 1


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.stdin.buffer.read(MAX_PASSWORD_BYTES + 1)))
