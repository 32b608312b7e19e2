"""Forwards: the addresses of one .qmail as one new message. See dot-qmail(5), qmail-queue(8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final

from qmail.accounts.assign import Account
from qmail.bus.ports import AlreadyStored, QueueFull, TemporaryError
from qmail.message.address import MAX_ADDRESS_BYTES, Address
from qmail.message.envelope import (
    MAX_RECIPIENTS,
    MAX_RECIPIENTS_BYTES,
    Draft,
    Envelope,
    Origin,
    Recipient,
    recipient_bytes,
)
from qmail.queue import exits
from qmail.queue.put import EnvelopeTooLarge, GivenUp, Prepared, Submission, Submitter
from services.delivery.local import replies
from services.delivery.local.refusal import permanent, temporary

_ROLE: Final = "delivery-local"
_ALIAS: Final = b"alias"


class Forwarder:
    """Puts what users forward. retry_seconds: between two tries to end what cannot be undone; `exact()`: whether any
    address is taken, as qmail-queue takes it."""

    def __init__(
        self, submitter: Submitter, *, retry_seconds: float = 2.0, exact: Callable[[], bool] = lambda: False
    ) -> None:
        self._submitter = submitter
        self._retry_seconds = retry_seconds
        self._exact = exact

    async def forward(
        self,
        envelope: Envelope,
        account: Account,
        sender: Address,
        recipients: Sequence[Address],
        head: bytes,
        chunks: Callable[[], AsyncIterator[bytes]],
    ) -> int:
        """Put the message of the envelope again, `head` before it; the new message's number.

        chunks: the body, read once for each message: a list that has no room in one envelope goes as several, of which
        the first one's number is given. Raises Refusal; then nothing was forwarded (after a lost answer of the bus:
        perhaps).
        """
        if any(map(Address.has_controls, (sender, *recipients))) and not self._exact():
            raise permanent(replies.not_forwarded(exits.words(exits.ADDRESS_WITH_CONTROLS)))
        if any(len(address.raw) > MAX_ADDRESS_BYTES for address in (sender, *recipients)):
            raise permanent(replies.not_forwarded(exits.words(exits.ADDRESS_TOO_LONG)))
        draft = Draft(
            origin=Origin(uid=account.uid, role=_ROLE),
            sender=sender,
            recipients=(),
            parameters=envelope.parameters.of_the_text(),
            prefix=head + envelope.prefix,
        )
        drafts = [replace(draft, recipients=tuple(map(Recipient, group))) for group in in_envelopes(recipients)]
        invoked = b"by alias" if account.name == _ALIAS else b"by uid %d" % account.uid
        try:
            await self._submitter.ready()
            return await self._put(drafts, invoked, chunks)
        except QueueFull as error:
            raise temporary(replies.not_forwarded(exits.words(exits.WRITE_ERROR))) from error
        except TemporaryError as error:
            raise temporary(replies.not_forwarded(exits.words(exits.TEMPORARY))) from error
        except EnvelopeTooLarge as error:
            raise permanent(replies.not_forwarded(replies.ENVELOPE_TOO_LARGE)) from error

    async def _put(self, drafts: Sequence[Draft], invoked: bytes, chunks: Callable[[], AsyncIterator[bytes]]) -> int:
        """Everything is stored before the first message exists; then the others follow at once."""
        prepared: list[Prepared] = []
        begun: list[Submission] = []
        try:
            for draft in drafts:
                begun.append(self._submitter.begin())
                async for chunk in chunks():
                    await begun[-1].write(chunk)
                prepared.append(await begun[-1].prepare(draft, invoked))
            first = await prepared[0].commit()
        except BaseException:
            for submission in begun:
                await submission.abort()
            raise
        for message in prepared[1:]:
            await self._commit_surely(message)
        return first.id

    async def _commit_surely(self, message: Prepared) -> None:
        """A refusal now would put the first message of the list once more at the next attempt.

        Raises GivenUp after so long that the body may be gone."""
        while True:
            try:
                await message.commit(alone=True)
            except AlreadyStored:
                return
            except GivenUp:
                raise
            except TemporaryError:
                await asyncio.sleep(self._retry_seconds)
                continue
            return


def in_envelopes(recipients: Sequence[Address]) -> list[tuple[Address, ...]]:
    """The recipients in their order, in as few groups as the bounds of an envelope allow."""
    groups: list[list[Address]] = [[]]
    room = MAX_RECIPIENTS_BYTES
    for address in recipients:
        room -= recipient_bytes(address)
        if groups[-1] and (room < 0 or len(groups[-1]) == MAX_RECIPIENTS):
            groups.append([])
            room = MAX_RECIPIENTS_BYTES - recipient_bytes(address)
        groups[-1].append(address)
    return [tuple(group) for group in groups]
