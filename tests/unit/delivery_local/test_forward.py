"""Lists that have no room in one envelope: several messages, all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.accounts.assign import Account
from qmail.bus import subjects
from qmail.bus.ports import BusDown, QueueFull, Record
from qmail.message.address import MAX_ADDRESS_BYTES, NULL_SENDER, Address
from qmail.message.envelope import MAX_RECIPIENTS, MAX_RECIPIENTS_BYTES, recipient_bytes
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from services.delivery.local.forward import Forwarder, in_envelopes
from services.delivery.local.refusal import Refusal
from services.delivery.outcome import Kind
from tests.support.memory_bus import MemoryBus
from tests.support.stored import fetch_all
from tests.unit.delivery_local.conftest import FAR_FUTURE_MS, MESSAGE, Deployment, envelope

JONI = Account(b"joni", 2002, 2002, Path("/home/joni"))
MEMBERS = [b"anggota%d@daftar.example" % number for number in range(12_000)]


class FailingBus(MemoryBus):
    """Fails to store the n-th record of IN with the n-th error, if there is one; `lost`: it stores it all the same."""

    def __init__(self, *errors: Exception | None, lost: bool = False) -> None:
        super().__init__()
        self._errors, self._lost = list(errors), lost

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        error = self._errors.pop(0) if self._errors and record.subject.startswith("in.") else None
        if error is not None and not self._lost:
            raise error
        stored = await super().store(record, expected_sequence)
        if error is not None:
            raise error
        return stored


def forward(bus: MemoryBus, members: list[bytes]) -> int:
    async def body() -> AsyncIterator[bytes]:
        yield MESSAGE

    async def work() -> int:
        ids = IdSource()
        ids.grant(1, 0, FAR_FUTURE_MS)
        forwarder = Forwarder(Submitter(bus, ids), retry_seconds=0)
        return await forwarder.forward(
            envelope(), JONI, Address(b"joni-owner@xeris.com"), list(map(Address, members)), b"", body
        )

    return asyncio.run(work())


def members_of(bus: MemoryBus) -> list[bytes]:
    """Everybody whom the stored messages go to."""
    return [r.address.raw for each in asyncio.run(fetch_all(bus)) for r in each.envelope.recipients]


def test_a_list_of_twelve_thousand_goes_to_each_member_once(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail-daftar", b"".join(b"&" + member + b"\n" for member in MEMBERS))
    outcome = deployment.deliver(b"joni-daftar@xeris.com")
    assert (outcome.kind, outcome.text.split(b"\n")[0]) == (Kind.SUCCESS, b"did 0+12000+0")
    put = deployment.submitted()
    assert [r.address.raw for each in put for r in each.envelope.recipients] == MEMBERS
    assert all(each.body == MESSAGE for each in put) and len(put) > 1


@pytest.mark.parametrize("lost", [False, True])
def test_what_fails_after_the_first_message_is_stored_is_tried_until_it_is_stored_too(lost: bool) -> None:
    bus = FailingBus(None, BusDown("away"), QueueFull("full"), lost=lost)
    forward(bus, MEMBERS)
    assert members_of(bus) == MEMBERS


def test_what_fails_with_the_first_message_leaves_none() -> None:
    bus = FailingBus(BusDown("away"))
    with pytest.raises(Refusal) as caught:
        forward(bus, MEMBERS)
    assert caught.value.outcome.kind is Kind.DEFERRAL
    assert members_of(bus) == [] and not asyncio.run(bus.subjects(subjects.IN, "in.*"))


def test_what_no_envelope_can_hold_is_refused_for_what_it_is() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield MESSAGE

    async def work() -> None:
        ids = IdSource()
        ids.grant(1, 0, FAR_FUTURE_MS)
        head = b"X-Long: " + b"x" * 300_000 + b"\n"
        await Forwarder(Submitter(MemoryBus(), ids)).forward(
            envelope(), JONI, NULL_SENDER, [Address(b"a@b")], head, body
        )

    with pytest.raises(Refusal) as caught:
        asyncio.run(work())
    assert caught.value.outcome.kind is Kind.FAILURE and b"envelope too large" in caught.value.outcome.text


@given(st.lists(st.binary(max_size=1003), max_size=1200), st.integers(1, 8))
def test_groups_keep_everybody_in_order_within_the_bounds(raw: list[bytes], times: int) -> None:
    addresses = list(map(Address, raw)) * times
    groups = in_envelopes(addresses)
    assert [address for group in groups for address in group] == addresses
    assert all(len(group) <= MAX_RECIPIENTS for group in groups)
    assert all(sum(map(recipient_bytes, group)) <= MAX_RECIPIENTS_BYTES for group in groups)


def test_forwarding_takes_what_qmail_queue_takes_as_an_address() -> None:
    bus = MemoryBus()
    forward(bus, [b"x" * MAX_ADDRESS_BYTES])
    with pytest.raises(Refusal):
        forward(bus, [b"x" * (MAX_ADDRESS_BYTES + 1)])
    assert members_of(bus) == [b"x" * MAX_ADDRESS_BYTES]
