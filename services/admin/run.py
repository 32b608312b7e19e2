"""`make run`: the product without containers (python -m services.admin.run)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.admin.child import with_identity
from services.admin.files import Keeper
from services.admin.first_start import first_start
from services.admin.places import REPOSITORY, Places, read_places
from services.admin.programs import run_directory
from services.admin.rights import Rights, read_rights
from services.admin.run_settings import HOST, RunSettings, read_settings
from services.admin.supervisor import Supervisor

EX_CONFIG = 78


class RunError(Exception):
    """The deployment cannot be run here; the text says why and what would help."""


def main() -> int:
    """Exit code 0 after a stop, 78 for what must be set right first, 1 for what failed later."""
    try:
        settings = read_settings(os.environ, os.geteuid())
        settings.directory.mkdir(parents=True, exist_ok=True)
        with _locked(settings.directory):
            supervisor = _prepare(settings)
            return asyncio.run(_run(supervisor))
    except (RunError, ValueError, OSError) as error:
        print(f"run: {error}", file=sys.stderr)
        return EX_CONFIG


def _prepare(settings: RunSettings) -> Supervisor:
    environ = {**os.environ, "QMAIL_DIR": str(settings.directory), "IDENTITY": settings.identity}
    rights, places = read_rights(), read_places(environ)
    _check_ports(settings)
    if settings.per_user:
        _check_reachable(settings, rights)
    else:
        print(f"run: IDENTITY=single, everything runs as uid {os.geteuid()}", file=sys.stderr, flush=True)
    first_start(environ)
    _make_run(settings, places, rights)
    return Supervisor(settings, places, rights, environ)


def _make_run(settings: RunSettings, places: Places, rights: Rights) -> None:
    """A `run` for each role, with nothing in it that an earlier deployment left."""
    keeper = Keeper(per_user=settings.per_user)
    shutil.rmtree(places.paths.run, ignore_errors=True)
    keeper.directory(places.paths.run, 0o755)
    for role in rights.bus_users:
        if role.program is not None and role.name != "admin":
            keeper.directory(run_directory(settings, role), 0o755, role.uid, role.gid)


async def _run(supervisor: Supervisor) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    return await supervisor.run()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One supervisor a directory. Raises RunError. The lock is on a descriptor that no child inherits."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _try_lock(fd, directory)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int, directory: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{directory} is running already; expected another QMAIL_DIR") from None


def _check_ports(settings: RunSettings) -> None:
    for name, port in settings.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise RunError(f"{name} is {port}: {error.strerror}; expected a free port") from None


def _check_reachable(settings: RunSettings, rights: Rights) -> None:
    """The roles' uids must be able to read the program and to reach the directory."""
    role = rights.roles["smtpd"]
    probe = f"import os, qmail; os.chdir({str(settings.directory)!r})"
    command = with_identity(role, (sys.executable, "-c", probe))
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        why = found.stderr.strip().rpartition("\n")[2]
        raise RunError(
            f"uid {role.uid} cannot use {REPOSITORY}, {sys.executable} or {settings.directory} ({why}); "
            "expected directories that others may enter"
        )


if __name__ == "__main__":
    raise SystemExit(main())
