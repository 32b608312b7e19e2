"""checkpassword's interface for the administrator's programs: name, password and a stamp on descriptor 3, each with its
NUL; where auth says yes, the program given is run as that account, in its home.

Source: the description of the interface, https://cr.yp.to/checkpwd/interface.html."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from qmail.accounts.assign import Account
from qmail.bus.connect import connect_user
from qmail.bus.ports import TemporaryError
from qmail.bus.talk.ask_pass import Question, ask
from services.admin.accounts.su import SHELL
from services.admin.commands.deployment import Deployment

EX_WRONG, EX_MISUSED, EX_TEMPORARY = 1, 2, 111
_DESCRIPTOR = 3
# The whole of what is read, as in qmail-popup's checkpassword.
_MAX_BYTES = 512


def checkpassword(deployment: Deployment, arguments: Sequence[str]) -> int:
    """Become the program; 1 for a wrong password, 2 for what is no question, 111 where nobody can say now."""
    try:
        name, password, _stamp, *_ = _read().split(b"\0")
    except (OSError, ValueError):
        return EX_MISUSED
    try:
        account = asyncio.run(_ask(deployment, Question(user=name, password=password, service="pop3", ip="127.0.0.1")))
    except (TemporaryError, TimeoutError):
        return EX_TEMPORARY
    if account is None:
        return EX_WRONG
    if not arguments:
        return 0
    home = os.fsdecode(account.home)
    try:
        if deployment.per_user:
            os.setgroups([])
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
        os.chdir(home)
        own = {"USER": os.fsdecode(account.name), "HOME": home, "SHELL": SHELL}
        os.execvpe(arguments[0], list(arguments), {**os.environ, **own})
    except OSError:
        return EX_TEMPORARY


def _read() -> bytes:
    """Raises OSError where the descriptor is not open, ValueError for more than may be."""
    found = b""
    while piece := os.read(_DESCRIPTOR, _MAX_BYTES):
        found += piece
        if len(found) > _MAX_BYTES:
            raise ValueError("too long")
    return found


async def _ask(deployment: Deployment, question: Question) -> Account | None:
    bus = await connect_user("admin", deployment.directories.paths, deployment.environ)
    try:
        return await ask(bus, question)
    finally:
        await bus.close()
