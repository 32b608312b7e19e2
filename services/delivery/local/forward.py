"""Forwards: the addresses of one .qmail as one new message. See dot-qmail(5), qmail-queue(8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from qmail.accounts import Account
from qmail.bus.ports import QueueFull, TemporaryError
from qmail.envelope import Envelope, Recipient
from qmail.put import Draft, EnvelopeTooLarge, Submission, Submitter
from services.delivery.local import replies
from services.delivery.local.refusal import permanent, temporary

_ROLE: Final = "delivery-local"
_ALIAS: Final = b"alias"
#: What qmail-queue accepts as an address.
_MAX_ADDRESS_BYTES: Final = 1003


class Forwarder:
    """Puts what users forward."""

    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def forward(
        self,
        envelope: Envelope,
        account: Account,
        sender: bytes,
        recipients: Sequence[bytes],
        head: bytes,
        chunks: Callable[[], AsyncIterator[bytes]],
    ) -> int:
        """Put the message of the envelope again, `head` before it; the new message's number.

        chunks: the body. Raises Refusal; then nothing was forwarded (after a lost answer of the bus: perhaps).
        """
        if any(len(address) > _MAX_ADDRESS_BYTES for address in (sender, *recipients)):
            raise permanent(replies.not_forwarded(replies.ADDRESS_TOO_LONG))
        draft = _draft(envelope, account, sender, recipients, head)
        try:
            await self._submitter.ready()
            return await _submit(self._submitter.begin(), draft, chunks)
        except QueueFull as error:
            raise temporary(replies.not_forwarded(replies.QUEUE_FULL)) from error
        except TemporaryError as error:
            raise temporary(replies.not_forwarded(replies.QUEUE_DOWN)) from error
        except EnvelopeTooLarge as error:
            raise permanent(replies.not_forwarded(replies.ADDRESS_TOO_LONG)) from error


async def _submit(submission: Submission, draft: Draft, chunks: Callable[[], AsyncIterator[bytes]]) -> int:
    try:
        async for chunk in chunks():
            await submission.write(chunk)
        return (await submission.commit(draft)).id
    except BaseException:
        await submission.abort()
        raise


def _draft(envelope: Envelope, account: Account, sender: bytes, recipients: Sequence[bytes], head: bytes) -> Draft:
    invoked = b"by alias" if account.name == _ALIAS else b"by uid %d" % account.uid
    return Draft(
        sender=sender,
        recipients=tuple(Recipient(address) for address in recipients),
        uid=account.uid,
        role=_ROLE,
        invoked=invoked,
        prefix=head + envelope.prefix,
        body_type=envelope.body_type,
        smtputf8=envelope.smtputf8,
    )
