"""Does this recipient exist? The answer to smtpd's `ask.rcpt`, found as delivery itself would find it."""

from __future__ import annotations

import json
import os
from typing import Final

from qmail.accounts.assign import AssignError, Match
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.control.files import ControlError
from qmail.message.address import split
from services.delivery.local.home import check_home, find_dot_qmail, open_home
from services.delivery.local.job import Job
from services.delivery.local.lookup import Lookup
from services.delivery.local.refusal import Refusal
from services.delivery.outcome import Kind

OK: Final = "ok"
NO: Final = "no"
UNKNOWN: Final = "unknown"  #: a doubt, or none of ours: smtpd accepts


class Answerer:
    """Answers for one deployment."""

    def __init__(self, lookup: Lookup, pool: ActingPool) -> None:
        self._lookup = lookup
        self._pool = pool

    async def answer(self, request: bytes) -> bytes:
        """The JSON answer to a JSON request {"address": latin-1 text}. Never raises."""
        try:
            address = json.loads(request)["address"].encode("latin-1")
            word = await self.rcpt(address)
        except (ValueError, KeyError, TypeError, AttributeError):
            word = UNKNOWN
        return json.dumps({"answer": word}).encode("ascii")

    async def rcpt(self, recipient: bytes) -> str:
        """`ok`, `no` or `unknown` for a recipient as the client gave it. A doubt is never `no`."""
        try:
            address = self._lookup.local_address(recipient)
            local, _ = split(address) if address is not None else (b"", None)
            if not local:
                return UNKNOWN
            match = self._lookup.match(local)
            return await self._pool.run(match.account, look, match, local)
        except Refusal as refusal:
            return NO if refusal.kind is Kind.FAILURE else UNKNOWN
        except (AssignError, ControlError, IdentityError, OSError, ValueError):
            return UNKNOWN


def look(match: Match, local: bytes) -> str:
    """Whether the account has instructions for the extension. Blocking, as the user. Raises Refusal."""
    job = Job(
        user=match.account.name,
        home=os.fsencode(match.account.home),
        local=local,
        dash=match.dash,
        ext=match.ext,
        host=b"",
        sender=b"",
        default_delivery=b"#",
    )
    home = open_home(job.home)
    try:
        check_home(home, job.home)
        find_dot_qmail(home, job)
    finally:
        os.close(home)
    return OK
