"""Several recipients of one message at one host go in one session; each has its own outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from qmail.message.address import Address
from services.delivery.outcome import Kind, Outcome
from services.delivery.remote import deliver as deliver_module
from services.delivery.remote.deliver import RemoteDelivery
from services.delivery.worker import Delivery
from tests.unit.delivery_remote.test_delivery import Far, Keeper, delivery, run, start_aiosmtpd


class Small(Keeper):
    """A server that takes two recipients a session."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) == 2:
            return "452 4.5.3 too many recipients"
        return await super().handle_RCPT(server, session, envelope, address, options)


def recipients(*names: str, host: str = "remote.org") -> list[Delivery]:
    """Jobs of one message."""
    usual = delivery(b"joe@remote.org")
    addresses = [Address(f"{name}@{host}".encode()) for name in names]
    return [
        replace(usual, job=replace(usual.job, number=number, recipient=address))
        for number, address in enumerate(addresses)
    ]


def deliver_all(tmp_path: Path, keeper: Keeper, jobs: list[Delivery], **control: str) -> list[Outcome]:
    async def test(far: Far) -> list[Outcome]:
        server = await start_aiosmtpd(far, keeper)
        remote = RemoteDelivery(far.world)
        outcomes = await asyncio.gather(*(remote.deliver(job) for job in jobs))
        remote.close()
        server.close()
        return list(outcomes)

    outcomes: list[Outcome] = run(tmp_path, test, **control)
    return outcomes


def sessions(keeper: Keeper) -> list[list[str]]:
    """Each one's recipients."""
    return [[one.partition("@")[0] for one in envelope.rcpt_tos] for envelope in keeper.envelopes]


def test_recipients_at_one_host_go_in_one_session_and_each_has_its_outcome(tmp_path: Path) -> None:
    keeper = Keeper()
    outcomes = deliver_all(tmp_path, keeper, recipients("joe", "nobody", "full", "jim"))
    assert sessions(keeper) == [["joe", "jim"]]
    assert [one.kind for one in outcomes] == [Kind.SUCCESS, Kind.FAILURE, Kind.DEFERRAL, Kind.SUCCESS]
    assert b"550 no such user" in outcomes[1].text and b"452 mailbox full" in outcomes[2].text


def test_whoever_is_too_much_for_one_session_goes_in_the_next(tmp_path: Path) -> None:
    keeper = Small()
    outcomes = deliver_all(tmp_path, keeper, recipients("a", "b", "c", "d", "e"))
    assert sessions(keeper) == [["a", "b"], ["c", "d"], ["e"]]
    assert {one.kind for one in outcomes} == {Kind.SUCCESS}


@pytest.mark.parametrize("control", [{"extensions": "none\n"}, {}])
def test_what_does_not_belong_together_goes_apart(tmp_path: Path, control: dict[str, str]) -> None:
    jobs = recipients("joe", "jim")
    if not control:
        verp = Address(b"list-jim=remote.org@xeris.com")
        jobs[1] = replace(jobs[1], job=replace(jobs[1].job, sender=verp))
    keeper = Keeper()
    assert {one.kind for one in deliver_all(tmp_path, keeper, jobs, **control)} == {Kind.SUCCESS}
    assert sorted(sessions(keeper)) == [["jim"], ["joe"]]


def test_a_session_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver_module, "MOST_RECIPIENTS", 2)
    keeper = Keeper()
    outcomes = deliver_all(tmp_path, keeper, recipients("a", "b", "c"))
    assert {one.kind for one in outcomes} == {Kind.SUCCESS}
    assert sorted(sessions(keeper)) == [["a", "b"], ["c"]]


def test_what_is_unforeseen_defers_every_recipient_of_the_session(tmp_path: Path) -> None:
    async def test(far: Far) -> list[Any]:
        async def broken(address: str, port: int) -> Any:
            raise RuntimeError("unforeseen")

        remote = RemoteDelivery(replace(far.world, open_wire=broken))
        return await asyncio.gather(*(remote.deliver(job) for job in recipients("a", "b")))

    crashed = Outcome(Kind.DEFERRAL, b"qmail-remote crashed.\n")
    assert run(tmp_path, test) == [crashed, crashed]
