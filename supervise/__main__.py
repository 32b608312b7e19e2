"""`make run`: the product without containers (python -m supervise)."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmail.control.settings import SettingsError
from services.admin.accounts.private_mounts import make_reachable
from services.admin.directories import REPOSITORY, Directories, read_directories
from services.admin.install import Installer
from services.admin.rights import Rights, read_rights
from services.admin.setup.first_start import Settings, first_start
from supervise.bin_directory import make_bin, make_maildroprc
from supervise.environment import chosen
from supervise.interpreter import NoInterpreter, find_interpreter
from supervise.programs import run_directory
from supervise.settings import HOST, RunSettings, read_settings
from supervise.supervisor import Supervisor

EX_CONFIG = 78


class RunError(Exception):
    """The deployment cannot be run here; the text says why and what would help."""


def main() -> int:
    """Exit code 0 after a stop, 78 for what must be set right first, 1 for what failed later."""
    write_whole_lines()
    try:
        settings = read_settings(os.environ, os.geteuid())
        settings.directory.mkdir(parents=True, exist_ok=True)
        if settings.per_user:
            _let_roles_in(settings.directory)
        with _locked(settings.directory):
            supervisor = _prepare(settings)
            return asyncio.run(_run(supervisor))
    except (RunError, NoInterpreter, SettingsError, ValueError, OSError) as error:
        print(f"run: {error}", file=sys.stderr)
        return EX_CONFIG


def write_whole_lines() -> None:
    """One write for each line. With PYTHONUNBUFFERED its end would be a second one, and the roles, which write to the
    same pipe, could get between: whoever waits for the line `ready` would wait for ever."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def _let_roles_in(directory: Path) -> None:
    try:
        make_reachable([REPOSITORY, directory, Path(sys.prefix), Path(sys.base_prefix)])
    except OSError as error:
        # Perhaps there is another Python that they can use; what they cannot, `_prepare` says.
        print(f"run: {error}; the roles may use only what is open to all", file=sys.stderr, flush=True)


def _prepare(settings: RunSettings) -> Supervisor:
    environ = chosen({**os.environ, "QMAIL_DIR": str(settings.directory), "IDENTITY": settings.identity})
    rights, directories = read_rights(), read_directories(environ)
    # What first start would refuse, before anything else is looked at.
    Settings.read(environ)
    _check_ports(settings)
    python = sys.executable
    if settings.per_user:
        python = find_interpreter(rights.roles["smtpd"], settings.directory, environ)
    else:
        print(f"run: IDENTITY=single, everything runs as uid {os.geteuid()}", file=sys.stderr, flush=True)
    first_start(environ)
    _make_run(settings, directories, rights)
    make_bin(settings.directory, python, Installer(per_user=settings.per_user))
    make_maildroprc(settings.directory, Installer(per_user=settings.per_user))
    return Supervisor(settings, directories, rights, environ, python)


def _make_run(settings: RunSettings, directories: Directories, rights: Rights) -> None:
    """A `run` for each role, with nothing in it that an earlier deployment left."""
    installer = Installer(per_user=settings.per_user)
    shutil.rmtree(directories.paths.run, ignore_errors=True)
    for directory in (directories.paths.run, directories.paths.run / "roles"):
        installer.directory(directory, 0o755)
    for role in rights.bus_users:
        if role.program is not None and role.name != "admin":
            installer.directory(run_directory(settings, role), 0o755, role.uid, role.gid)


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


if __name__ == "__main__":
    raise SystemExit(main())
