"""Does this recipient exist? The answer to smtpd's `ask.rcpt`, found as delivery itself would find it."""

from __future__ import annotations

import os

from qmail.accounts.assign import AssignError, Match
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.control.files import ControlError
from qmail.maildir.quota import has_room
from qmail.message.address import NULL_SENDER, Address
from qmail.message.existence import Exists
from services.delivery.local.home import DotQmail, check_home, find_dot_qmail, open_home
from services.delivery.local.job import Job
from services.delivery.local.lookup import Lookup
from services.delivery.local.plan import Act, instructions
from services.delivery.local.refusal import Refusal
from services.delivery.outcome import Kind


class Answerer:
    """Answers for one deployment."""

    def __init__(self, lookup: Lookup, pool: ActingPool) -> None:
        self._lookup = lookup
        self._pool = pool

    async def look_up(self, recipient: Address) -> Exists:
        """Of a recipient as the client gave it. Never raises: a doubt is UNKNOWN, as is what is none of ours."""
        try:
            address = self._lookup.local_address(recipient)
            if address is None or not address.local:
                return Exists.UNKNOWN
            match = self._lookup.match(address.local)
            return await self._pool.run(match.account, look, match, address, self._lookup.default_delivery())
        except Refusal as refusal:
            return Exists.NO if refusal.kind is Kind.FAILURE else Exists.UNKNOWN
        except (AssignError, ControlError, IdentityError, OSError, ValueError):
            return Exists.UNKNOWN


def look(match: Match, recipient: Address, default_delivery: bytes) -> Exists:
    """Whether the account has instructions for the extension, and room. Blocking, as the user. Raises Refusal."""
    job = Job(
        user=match.account.name,
        home=os.fsencode(match.account.home),
        recipient=recipient,
        dash=match.dash,
        ext=match.ext,
        sender=NULL_SENDER,
        default_delivery=default_delivery,
    )
    home = open_home(job.home)
    try:
        check_home(home, job.home)
        found = find_dot_qmail(home, job)
        return Exists.QUOTA if _is_full(home, found) else Exists.OK
    finally:
        os.close(home)


def _is_full(home: int, found: DotQmail) -> bool:
    """Whether a Maildir that the instructions name has no room for a message of one byte."""
    try:
        steps = tuple(instructions(found.content, forward_only=found.executable))
    except Refusal:
        return False  # the delivery will say what is wrong with them
    paths = (step.argument.rstrip(b"/") + b"/" for step in steps if step.act is Act.MAILDIR)
    return any(not has_room(home, 1, below=path) for path in paths)
