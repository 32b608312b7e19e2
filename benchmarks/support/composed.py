"""The composed product on this machine's engine, as a user has it: made for one measurement and removed afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from benchmarks.support.processes import Process, tree

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "bench-qmail"
#: Nobody else's: a loopback address of its own for the published ports, a network of its own for the roles.
ADDRESS = "127.0.53.9"
SUBNET = "172.29.69"


class Composed:
    """One deployment under docker compose."""

    address, port = ADDRESS, 25

    def start(self) -> None:
        """Build, start, and return when every role is healthy. Raises RuntimeError with the engine's words."""
        self._compose("up", "--build", "--wait")

    def control(self, name: str, text: str) -> None:
        """Write a control file."""
        self._compose("exec", "-T", "admin", "tee", f"/var/qmail/control/{name}", text=text)

    def restart(self, role: str) -> None:
        """For the role that reads its control files at start only."""
        self._compose("restart", role)
        self._compose("up", "--wait")

    def useradd(self, name: str, password: str) -> None:
        """`qmailctl useradd` with the password on standard input."""
        self._compose("exec", "-T", "admin", "qmailctl", "useradd", name, text=f"{password}\n")

    def maildir(self, name: str) -> Path:
        """An account's Maildir, as uid 0 sees it on the host."""
        volume = json.loads(_run("docker", "volume", "inspect", f"{PROJECT}_home"))[0]
        return Path(volume["Mountpoint"]) / name / "Maildir"

    def processes(self) -> list[Process]:
        """What runs in the containers."""
        containers = self._compose("ps", "-q").split()
        roots = json.loads(_run("docker", "inspect", *containers))
        return [process for one in roots for process in tree(one["State"]["Pid"])]

    def stop(self) -> None:
        """Remove it with all that it kept."""
        self._compose("down", "--volumes")

    def _compose(self, *argv: str, text: str = "") -> str:
        return _run("docker", "compose", "--project-directory", str(ROOT), "--project-name", PROJECT, *argv, text=text)


def _run(*argv: str, text: str = "") -> str:
    environment = {**os.environ, "ADDRESS": ADDRESS, "SUBNET": SUBNET, "ME": "mail.xeris.com"}
    done = subprocess.run(argv, input=text, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr[-3000:]}")
    return done.stdout


def engine_answers() -> bool:
    """Whether a container engine with compose is here."""
    try:
        return subprocess.run(("docker", "compose", "ls"), capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False
