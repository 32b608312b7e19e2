"""An account's quota: `maildirsize` in its Maildir, counted and written as the account (qmail.maildir.quota)."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable

from qmail.maildir.quota import Limits, set_limits
from services.admin.accounts.assign import User
from services.admin.accounts.private_mounts import make_reachable


class QuotaError(Exception):
    """The quota could not be set; standard error has the reason."""


def set_quota(user: User, limits: Limits | None, *, per_user: bool) -> None:
    """Give the account's Maildir this quota, None: none any more. Raises QuotaError.

    Who could name a link `maildirsize` or `tmp` is the account, so nothing is done there with other rights than its."""

    def change() -> None:
        if per_user:
            with contextlib.suppress(PermissionError):  # then it is reachable, or is found not to be
                make_reachable([user.home])
            os.setgroups([])
            os.setresgid(user.uid, user.uid, user.uid)
            os.setresuid(user.uid, user.uid, user.uid)
        directory = os.open(user.home / "Maildir", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        set_limits(directory, limits)

    if _in_a_child(change) != 0:
        raise QuotaError(f"{user.name}: the quota was not changed")


def _in_a_child(run: Callable[[], None]) -> int:
    """Its exit code: 0 when `run` has returned."""
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        except BaseException:
            traceback.print_exc(limit=0)
            sys.stderr.flush()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
