"""`python -m services.auth`: answers `ask.pass`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from qmail.bus.connect import read_credentials
from qmail.bus.talk import ask_pass
from qmail.bus.talk.messages import WORKERS
from qmail.control.table import AUTHMODULELIST
from qmail.log.log import Log
from qmail.role.main import run_role
from qmail.role.process import RoleProcess
from services.auth.files import Files
from services.auth.known import KnownNetworks
from services.auth.modules.read import close_modules, makers, read_modules
from services.auth.password_verifier import PasswordVerifier
from services.auth.verifications import CONCURRENT_VERIFICATIONS


async def serve(process: RoleProcess) -> None:
    """Answer until told to end. Raises SettingsError, CredentialsError."""
    paths, control, notices = process.paths, process.control, process.log.notices
    modules = read_modules(
        control.get(AUTHMODULELIST),
        makers(paths, control, notices, CONCURRENT_VERIFICATIONS),
        notices,
        process.log.line,
    )
    _, secret = read_credentials(paths, "auth")
    bus = await process.reach_bus()
    files, known = Files(paths.users / "assign", control, notices), KnownNetworks(bus, secret.encode())
    threads = ThreadPoolExecutor(CONCURRENT_VERIFICATIONS, thread_name_prefix="verify")
    verifier = PasswordVerifier(files, modules, control, notices, known, threads)
    await verifier.slowing.join(bus, WORKERS)
    await bus.subscribe(ask_pass.SUBJECT, partial(verifier.take, bus), WORKERS)
    process.watch(process.bus_is_there)
    await process.until_told()
    verifier.close()
    close_modules(modules)


if __name__ == "__main__":
    sys.exit(run_role("auth", Log("auth"), serve))
