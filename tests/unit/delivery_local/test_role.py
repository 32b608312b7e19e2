"""Local delivery with the identity of its container: a uid of its own and three capabilities (RIGHTS.toml)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.source import ROOT
from tests.unit.delivery_local.conftest import USERS, Deployment

pytestmark = pytest.mark.root(reason="only root gives out identities")

# As `make run` does it: a checkout in a home that is closed to others is no obstacle.
OPEN_WAY = """
import os, sys
from pathlib import Path
from services.admin.accounts.private_mounts import make_reachable
make_reachable([Path(os.environ["PYTHONPATH"]), Path(sys.prefix), Path(sys.base_prefix)])
os.execvp(sys.argv[1], sys.argv[1:])
"""
ROLE = (
    *(sys.executable, "-c", OPEN_WAY),
    "setpriv",
    "--reuid=903",
    "--regid=903",
    "--clear-groups",
    "--inh-caps=-all,+setuid,+setgid,+kill",
    "--ambient-caps=+setuid,+setgid,+kill",
    "--no-new-privs",
    "--",
)
DELIVER = """
import sys
from pathlib import Path
from services.delivery.local.spawn import Spawner
from tests.unit.delivery_local.conftest import Deployment
spawner = Spawner()
deployment = Deployment(Path(sys.argv[1]), spawner)
sys.stdout.buffer.write(deployment.deliver(b"joni@xeris.com", seconds=float(sys.argv[2])).text)
spawner.close()
"""


def as_role(*command: str) -> subprocess.CompletedProcess[bytes]:
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "QMAIL_TEST_PER_USER": "1"}
    return subprocess.run([*ROLE, *command], cwd="/", env=environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)


def deliver(deployment: Deployment, seconds: float) -> bytes:
    for name in ("control", "control/me", "assign"):
        (deployment.root / name).chmod(0o755)
    result = as_role(sys.executable, "-c", DELIVER, str(deployment.root), str(seconds))
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_program_inherits_none_of_the_roles_capabilities(deployment: Deployment) -> None:
    deployment.write("diva", "secret", b"x")
    command = b"|id -u; id -G; grep -c '^Cap.*:.0000000000000000' /proc/self/status\n|cat ../diva/secret || true\n"
    deployment.write("joni", ".qmail", command + b"./Maildir/\n")
    # CapBnd alone is not empty.
    denied = b"cat: ../diva/secret: Permission denied\n"
    joni = USERS["joni"]
    assert deliver(deployment, 20) == b"%d\n%d\n4\n" % (joni, joni) + denied + b"did 1+0+2\n"
    (path,) = (deployment.home("joni") / "Maildir/new").iterdir()
    assert (path.stat().st_uid, path.stat().st_gid) == (joni, joni)


def test_the_role_can_end_a_program_that_is_another_user(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"|sleep 300\n")
    assert deliver(deployment, 0.5) == b"Program took too long and was ended. (#4.3.0)\n"
