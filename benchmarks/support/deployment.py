"""This project by `make run`'s own supervisor, in a directory of its own, per-user: what benchmarks measure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

from benchmarks.support.processes import tree
from supervise.settings import PORTS
from tests.support.ports import free_ports

ROLES = ("smtpd", "queue", "delivery.local", "delivery.remote", "auth", "pop3", "imap", "log", "admin", "nats-server")


class Deployment:
    """One running deployment; uid 0 is needed, as for the product."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What `make run` takes from the environment."""
        ports = {name: str(port) for name, port in self.ports.items()}
        return {**os.environ, **ports, "QMAIL_DIR": str(self.directory), "IDENTITY": "per-user"}

    def start(self) -> None:
        """Start and wait for the line `ready`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        os.chmod(self.directory, 0o755)
        with open(self.directory / "run.log", "ab") as log:
            # A scheduler group of its own (sched(7), autogroup), as Postfix's master makes one: on a busy machine each
            # group has the same share.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervise"],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            ready = self._wait_until_ready(self._process.stdout, log)
            # The roles' lines go on to the file: a full pipe would stop them.
            self._pump = subprocess.Popen(["cat"], stdin=self._process.stdout, stdout=log)
        if not ready:
            last = (self.directory / "run.log").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"the deployment ended before it was ready:\n{last}")

    @staticmethod
    def _wait_until_ready(output: IO[bytes], log: IO[bytes]) -> bool:
        for line in output:
            log.write(line)
            if line.strip() == b"ready":
                log.flush()
                return True
        return False

    def control(self, name: str, text: str) -> None:
        """Write a control file."""
        (self.directory / "control").mkdir(parents=True, exist_ok=True)
        (self.directory / "control" / name).write_text(text)

    def useradd(self, name: str, password: str) -> None:
        """`qmailctl useradd` with the password on standard input."""
        subprocess.run(
            [sys.executable, "-m", "services.admin.commands.qmailctl", "useradd", name],
            input=f"{password}\n".encode(),
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def maildir(self, name: str) -> Path:
        """An account's Maildir."""
        return self.directory / "home" / name / "Maildir"

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self._process is not None
        return self._process.pid

    def main_pid(self, role: str) -> int:
        """A role's own process, or the bus's server; not what it starts. Raises ValueError unless there is one."""
        commands = {process.pid: process.command for process in tree(self.pid)}
        [pid] = [pid for pid, command in commands.items() if is_main(command, role)]
        return pid

    def stop(self) -> None:
        """End everything in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)
            self._process = None
        if self._pump is not None:
            self._pump.wait(10)
            self._pump = None


def is_main(command: str, role: str) -> bool:
    """Whether this is how the role itself is started."""
    return command.endswith(f" -m services.{role}") or command.split(" ")[0].endswith(f"/{role}")


def role_of(command: str) -> str:
    """The role that a process of the deployment belongs to."""
    for role in ROLES:
        if f"services.{role}" in command or command.split(" ")[0].endswith(role):
            return role
    return "other"
