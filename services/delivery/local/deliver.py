"""One local delivery from envelope to outcome: what qmail-lspawn(8) and qmail-local(8) do together."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from qmail.accounts.assign import Account, AssignError, Match
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.control.files import ControlError
from qmail.maildir.names import unique_name
from services.delivery.local import replies
from services.delivery.local.announce import Announcer
from services.delivery.local.forward import Forwarder
from services.delivery.local.home import check_home, open_home
from services.delivery.local.job import Job, delivered_to_line
from services.delivery.local.lookup import Lookup
from services.delivery.local.mbox import MailboxLocked
from services.delivery.local.message import FileMessage, Message, SmallMessage, nameless_file
from services.delivery.local.program import goes_on
from services.delivery.local.refusal import Refusal, temporary
from services.delivery.local.run import Run
from services.delivery.local.spawn import Spawner
from services.delivery.local.spawn_wire import Program
from services.delivery.local.steps import Steps, alone
from services.delivery.local.together import Together
from services.delivery.outcome import Outcome, deferral, success
from services.delivery.worker import Delivery

_log = logging.getLogger(__name__)

#: How long an mbox may stay locked by others, as in qmail-local; and how often it is tried.
_LOCK_SECONDS: Final = 30.0
_LOCK_RETRY_SECONDS: Final = 0.1
#: Less than the grace that delivery has to finish its work when it is told to end (5 minutes).
PROGRAM_SECONDS: Final = 240.0


class LocalDelivery:
    """Delivers to the accounts of users/assign.

    per_user: programs become their user (IDENTITY=per-user); else they run as the caller. base_environment:
    variables that every program gets beside qmail's own, PATH above all.
    """

    def __init__(
        self,
        *,
        lookup: Lookup,
        pool: ActingPool,
        spawner: Spawner,
        forwarder: Forwarder,
        announcer: Announcer,
        per_user: bool,
        base_environment: Mapping[bytes, bytes],
        program_seconds: float = PROGRAM_SECONDS,
    ) -> None:
        self._lookup = lookup
        self._pool = pool
        self._together = Together(pool)
        self._spawner = spawner
        self._forwarder = forwarder
        self._announcer = announcer
        self._per_user = per_user
        self._base_environment = base_environment
        self._program_seconds = program_seconds

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Deliver to one recipient. Never raises: whatever is not foreseen is a deferral."""
        try:
            outcome = await self._deliver(delivery)
        except Refusal as refusal:
            outcome = refusal.outcome
        except IdentityError:
            outcome = deferral(replies.NO_IDENTITY + b"\n")
        except AssignError:
            outcome = deferral(replies.BAD_ASSIGN + b"\n")
        except ControlError:
            outcome = deferral(replies.BAD_CONTROL + b"\n")
        except Exception:
            _log.exception("local delivery crashed: msg %d", delivery.envelope.id)
            outcome = deferral(replies.UNFORESEEN + b"\n")
        return Outcome(outcome.kind, replies.bounded_report(outcome.text))

    async def _deliver(self, delivery: Delivery) -> Outcome:
        if not delivery.job.recipient.local:
            return success(b"")  # qmail-lspawn has nobody to run for it
        match = self._lookup.match(delivery.job.recipient.local)
        job = self._job(match, delivery)
        message = await self._message(match.account, job, delivery)
        run = Run(job, message, self._namer(delivery), time.time(), repeated=delivery.job.attempt > 1)
        try:
            return await self._carry_out(run, match.account, delivery)
        finally:
            run.close()
            for maildir in run.maildirs:
                self._announcer.announce(match.account.uid, job.home, maildir)

    def _job(self, match: Match, delivery: Delivery) -> Job:
        return Job(
            user=match.account.name,
            home=os.fsencode(match.account.home),
            recipient=delivery.job.recipient,
            dash=match.dash,
            ext=match.ext,
            sender=delivery.job.sender,
            default_delivery=self._lookup.default_delivery(),
        )

    def _namer(self, delivery: Delivery) -> Callable[[int], bytes]:
        me = self._lookup.me()
        envelope, number = delivery.envelope, delivery.job.number
        return lambda copy: unique_name(envelope.time_ms, envelope.id, number, me, copy)

    async def _message(self, account: Account, job: Job, delivery: Delivery) -> Message:
        if delivery.body is not None:
            return SmallMessage(delivery.envelope.prefix, delivery.body)
        message = await self._pool.run(account, _file_in, job.home)
        try:
            await self._pool.run(account, message.write, delivery.envelope.prefix)
            async for chunk in delivery.pieces():
                await self._pool.run(account, message.write, chunk)
        except OSError as error:
            message.close()
            raise temporary(replies.MAILDIR_DISK_FULL) from error
        except BaseException:
            message.close()
            raise
        return message

    async def _carry_out(self, run: Run, account: Account, delivery: Delivery) -> Outcome:
        report = b""
        try:
            command = await self._step(account, run.begin, run, delivery)
            while command is not None:
                exit_code, output = await self._program(run, account, command)
                report += output
                if not goes_on(exit_code):
                    run.stop()
                command = await self._step(account, run.advance, run, delivery)
            queued = replies.queued(await self._forward(run, account, delivery)) if run.forwards else b""
            return success(report + run.note() + queued)
        except Refusal as refusal:
            if run.mistaken is not None:
                said = "%s: .qmail line %r is an mbox of that name; a program has | before it"
                _log.warning(said, os.fsdecode(run.job.user), os.fsdecode(run.mistaken))
            return Outcome(refusal.kind, report + refusal.text)

    async def _step(
        self, account: Account, step: Callable[[], Steps[bytes | None]], run: Run, delivery: Delivery
    ) -> bytes | None:
        """Do a step as the user; wait for a locked mbox outside the threads, which others need."""
        give_up = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                if delivery.body is not None:
                    return await self._together.run(account, step)
                # A large message would keep its neighbours waiting.
                return await self._pool.run(account, lambda step: alone(step()), step)
            except MailboxLocked as locked:
                if time.monotonic() > give_up:
                    raise temporary(replies.mbox_locked(locked.path)) from locked
                step = run.advance
                await asyncio.sleep(_LOCK_RETRY_SECONDS)

    async def _program(self, run: Run, account: Account, command: bytes) -> tuple[int | None, bytes]:
        variables, message = await self._pool.run(account, run.program)
        try:
            program = Program(
                number=self._spawner.next_number(),
                uid=account.uid if self._per_user else -1,
                gid=account.gid,
                home=run.job.home,
                command=command,
                variables={**self._base_environment, **variables},
                seconds=self._program_seconds,
                network=self._lookup.may_use_network(account),
            )
            ended = await self._spawner.run(program, message)
        finally:
            os.close(message)
        return ended.exit_code, ended.output

    async def _forward(self, run: Run, account: Account, delivery: Delivery) -> int:
        head, body = delivered_to_line(run.job), delivery.pieces
        return await self._forwarder.forward(delivery.envelope, account, run.new_sender, run.forwards, head, body)


def _file_in(home: bytes) -> FileMessage:
    """A nameless file for a large message. Raises Refusal."""
    fd = open_home(home)
    try:
        check_home(fd, home)
        return nameless_file(fd)
    except OSError as error:
        raise temporary(replies.no_home(home, error)) from error
    finally:
        os.close(fd)
