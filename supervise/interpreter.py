"""A Python that the roles' uids can start too: root's own may lie in a home that nobody else may enter."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.admin.directories import REPOSITORY
from services.admin.rights import Role
from supervise.child import with_identity
from supervise.environment import SAFE_FLAGS

# In a second process, because setpriv still has root's rights when it looks for the first.
_PROBE = """
import os, subprocess, sys
os.chdir(sys.argv[1])
subprocess.run([sys.executable, "-P", "-s", "-c", "import ssl, nats, uvloop, qmail, services.admin"], check=True)
"""


class NoInterpreter(Exception):
    """No Python here can be started by the roles; the text says why and what would help."""


def python_path() -> str:
    """PYTHONPATH for the roles: the repository, and the packages of this environment."""
    return os.pathsep.join((str(REPOSITORY), sysconfig.get_path("purelib")))


def find_interpreter(role: Role, directory: Path, environ: Mapping[str, str]) -> str:
    """The first of our own Python and the system's of the same version (compiled packages fit no other) that starts
    as the role and can enter the directory. Raises NoInterpreter."""
    why = ""
    for candidate in _candidates():
        command = with_identity(role, (candidate, *SAFE_FLAGS, "-c", _PROBE, str(directory)))
        probe_environ = {**environ, "PYTHONPATH": python_path()}
        found = subprocess.run(command, env=probe_environ, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return candidate
        why = why or found.stderr.strip().rpartition("\n")[2]
    raise NoInterpreter(
        f"uid {role.uid} cannot use {sys.executable}, {REPOSITORY} and {directory} ({why}); "
        "expected a Python and directories that others may enter"
    )


def _candidates() -> Iterator[str]:
    yield sys.executable
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for directory in ("/usr/bin", "/usr/local/bin"):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            yield path
