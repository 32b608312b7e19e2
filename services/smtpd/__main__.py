"""`python -m services.smtpd`: the door for mail."""

from __future__ import annotations

import os
import sys
from functools import partial

from qmail.bus import subjects
from qmail.door import server
from qmail.door.admission import Admission
from qmail.door.processes import run_door
from qmail.log.log import Log
from qmail.queue.put import Submitter
from qmail.role.exits import exit_code
from qmail.role.health_names import names_checks
from qmail.role.interfaces import read_interfaces
from qmail.role.process import RoleProcess
from services.smtpd.desk import Desk
from services.smtpd.door import Door
from services.smtpd.plugin import MakePlugin, load_plugin
from services.smtpd.settings import DOORS, Settings, check, read_settings


async def serve(settings: Settings, make_plugin: MakePlugin | None, admission: Admission, process: RoleProcess) -> None:
    """Take mail until told to end. Raises SettingsError, CredentialsError, OSError."""
    names, plugin = names_checks(process.control), make_plugin and make_plugin()
    bus = await process.reach_bus(subjects.IN, subjects.BODY)
    await process.claim_node()
    door = Door(settings, Desk(bus, Submitter(bus, process.ids), os.getuid()), process.log, admission, plugin)

    async def streams_answer() -> None:
        await bus.info(subjects.IN)

    await server.serve(process, door.server(), streams_answer, seen=(process.numbers_are_left, *names))


def start() -> int:
    """Serve until TERM; the exit code. Raises SettingsError."""
    settings = read_settings(os.environ)
    check(settings, read_interfaces())
    make_plugin = load_plugin(settings.paths)
    return run_door("smtpd", Log("qmail-smtpd"), settings.processes, partial(serve, settings, make_plugin), DOORS)


if __name__ == "__main__":
    sys.exit(exit_code("smtpd", start))
