"""What the `__main__` of a role calls that is one process."""

from __future__ import annotations

from qmail.log.log import Log
from qmail.role.exits import exit_code
from qmail.role.loop import run
from qmail.role.process import RoleProcess, Serve


def run_role(name: str, log: Log, serve: Serve, title: str = "") -> int:
    """Check the role's control files, then serve until it is told to end; the exit code."""

    def start() -> None:
        process = RoleProcess(name, log)
        process.control.check(name)
        run(process.live(serve))

    return exit_code(title or name, start)
