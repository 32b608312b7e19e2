"""`qmailctl stat`: roles, queue, the room that is left, what stands, and what an administrator should know.

Its exit code is for programs that watch: 0 all roles are up, 2 one is down or does not answer, 3 all are up and the bus
has lost something that nobody has acknowledged, 111 the bus could not be asked. What else stands (`alert since`) leaves
it at 0: degraded is not down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from qmail.bus.connect import connect_user
from services.admin.commands import report
from services.admin.commands.bus_monitor import BusState, read_bus_state
from services.admin.commands.deployment import Deployment, no_arguments
from services.admin.commands.name_server import name_server_answers
from services.admin.commands.presences import Presences, ask_presences, hearing
from services.admin.commands.queue_client import QueueUnreachable
from services.admin.rights import read_rights
from services.admin.setup.first_start import FIRST_PASSWORD
from services.admin.setup.generated_files import GeneratedFiles

LISTEN_TIMEOUT_SECONDS = 20.0
EX_ROLE_DOWN = 2
EX_LOSS = 3


@dataclass(frozen=True, slots=True)
class _Found:
    bus: BusState
    presences: Presences
    dns: bool | None  # None: this deployment has no name server of its own


def stat(deployment: Deployment, arguments: list[str]) -> int:
    """Print all of it; the exit code. Raises Usage, and BusDown, TimeoutError or CredentialsError where the bus cannot
    be asked."""
    no_arguments(arguments)
    found = asyncio.run(_look(deployment))
    roles = [role.name for role in read_rights().bus_users]
    print(report.render_roles(roles, found.presences), end="")
    print(f"bus: up {found.bus.uptime}")
    if found.dns is not None:
        print("dns: up" if found.dns else "dns: down")
    queue_answers = _show_queue(deployment)
    print(report.render_streams(found.bus.streams), end="")
    print(report.render_standing(found.presences), end="")
    _show_hints(deployment)
    well = queue_answers and found.dns is not False and all(map(found.presences.is_up, roles))
    if not well:
        return EX_ROLE_DOWN
    return EX_LOSS if deployment.losses.open() else 0


async def _look(deployment: Deployment) -> _Found:
    state, presences = await everybody(deployment)
    server = deployment.environ.get("DNS_SERVER")
    return _Found(state, presences, await name_server_answers(server) if server else None)


async def everybody(deployment: Deployment) -> tuple[BusState, Presences]:
    """The bus, and who is on it. Raises BusDown, TimeoutError or CredentialsError."""
    paths, environ = deployment.directories.paths, deployment.environ
    async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
        state = await read_bus_state(paths, environ)
        bus = await connect_user("admin", paths, environ)
        try:
            return state, await ask_presences(bus, hearing(state.connections))
        finally:
            await bus.close()


def _show_queue(deployment: Deployment) -> bool:
    try:
        status = deployment.queue.status()
    except QueueUnreachable as error:
        print(f"{error}")
        return False
    print(report.render_qstat(status) + status["status"] + (" (paused)" if status["paused"] else ""))
    return True


def _show_hints(deployment: Deployment) -> None:
    address = deployment.environ.get("ADDRESS") or "127.0.0.1"
    directories = (deployment.directories.paths.control, deployment.directories.zones)
    left = [str(path) for directory in directories for path in GeneratedFiles(directory).left_behind(address)]
    print(report.render_address(address, left), end="")
    path = deployment.directories.paths.credentials / FIRST_PASSWORD
    try:
        name, password = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return
    print(f"account {name}, password {password} (shown this once; qmailctl passwd {name} changes it)", flush=True)
    path.unlink()
