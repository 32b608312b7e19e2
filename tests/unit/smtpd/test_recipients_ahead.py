"""Recipients that a client names in one go are asked for at once, and each of them once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from qmail.bus.talk import ask_rcpt
from qmail.door.session import Ask
from qmail.message.address import Address
from qmail.message.existence import Exists
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from services.smtpd.desk import EXISTS_SECONDS, OTHERWISE_SECONDS, Desk
from services.smtpd.envelope import MOST_AHEAD, recipients_ahead
from services.smtpd.facts import AskRecipient, Client
from services.smtpd.hooks import Hooks
from services.smtpd.session import SmtpSession
from tests.support.drafts import ORIGIN
from tests.support.memory_bus import MemoryBus
from tests.unit.smtpd.test_session import CLIENT, POLICY


def session_with(unread: bytes, *, client: Client = CLIENT, hooks: Hooks | None = None) -> SmtpSession:
    """One that has not come to obey what it has read."""
    session = SmtpSession(POLICY, client, ORIGIN, lambda: 0.0, hooks)
    session.dialogue.unread = unread
    return session


def ahead(session: SmtpSession) -> list[bytes]:
    return [address.raw for address in recipients_ahead(session.dialogue)]


@pytest.mark.parametrize(
    ("unread", "expected"),
    [
        (b"", []),
        (b"RCPT TO:<a@xeris.com>\r\nrcpt to:b@xeris.com\r\nDATA\r\n", [b"a@xeris.com", b"b@xeris.com"]),
        (b"RCPT TO:<a@xeris.com>\r\nRCPT TO:<b@xeris.com>", [b"a@xeris.com"]),
        (b"RCPT TO:<a@xeris.com>\r\nRSET\r\nRCPT TO:<b@xeris.com>\r\n", [b"a@xeris.com"]),
        # Nobody is asked for these in their turn either.
        (b"RCPT TO:<a@other.org>\r\nRCPT TO:<@xeris.com>\r\nRCPT TO:<c@xeris.com> X=y\r\n", []),
        (b"RCPT TO:<a@[127.0.0.1]>\r\n", [b"a@mail.xeris.com"]),
    ],
)
def test_what_is_ahead_are_the_local_recipients_that_have_come_whole(unread: bytes, expected: list[bytes]) -> None:
    assert ahead(session_with(unread)) == expected


def test_nobody_is_ahead_where_the_address_asked_for_may_become_another() -> None:
    unread = b"RCPT TO:<a@xeris.com>\r\n"
    assert ahead(session_with(unread, client=replace(CLIENT, relay=b".via"))) == []
    assert ahead(session_with(unread, hooks=Hooks(frozenset({"RCPT"})))) == []


def test_no_more_than_so_many_are_asked_for_at_once() -> None:
    lines = b"".join([b"RCPT TO:<a%d@xeris.com>\r\n" % number for number in range(3 * MOST_AHEAD)])
    assert len(ahead(session_with(lines))) == MOST_AHEAD


class Asked:
    """A desk, and what it asked delivery-local; `at_once` is how many questions were open together."""

    def __init__(self) -> None:
        self.bus, self.now = MemoryBus(), 0.0
        self.asked: list[bytes] = []
        self.open = self.at_once = 0
        self.desk = Desk(self.bus, Submitter(self.bus, IdSource()), 901, lambda: self.now)

    async def exists(self, address: Address) -> Exists:
        self.asked.append(address.raw)
        self.open += 1
        self.at_once = max(self.at_once, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        return Exists.NO if address.raw.startswith(b"no") else Exists.OK

    async def start(self) -> Asked:
        await ask_rcpt.answer(self.bus, self.exists)
        return self


def test_those_ahead_are_asked_for_with_the_first_and_not_again() -> None:
    async def work() -> None:
        world = await Asked().start()
        some = [Address(b"%s%d@xeris.com" % (name, number)) for number in range(20) for name in (b"a", b"no")]
        assert await world.desk.look_up(some[0], some[1:]) is Exists.OK
        assert sorted(world.asked) == sorted(address.raw for address in some) and world.at_once == len(some)
        known = [world.desk.known(AskRecipient(address)) for address in some]
        assert known == [Exists.OK, Exists.NO] * 20
        # A second client that names some of them with another.
        assert await world.desk.look_up(Address(b"b@xeris.com"), some) is Exists.OK
        assert world.asked[len(some) :] == [b"b@xeris.com"]

    asyncio.run(work())


def test_who_does_not_exist_is_asked_for_again_a_moment_later() -> None:
    async def work() -> None:
        world = await Asked().start()
        missing, present = Address(b"no@xeris.com"), Address(b"a@xeris.com")
        assert await world.desk.look_up(missing, [present]) is Exists.NO
        world.now = OTHERWISE_SECONDS
        assert world.desk.known(AskRecipient(missing)) is None
        assert world.desk.known(AskRecipient(present)) is Exists.OK
        world.now = EXISTS_SECONDS
        assert world.desk.known(AskRecipient(present)) is None

    asyncio.run(work())


def test_a_pipelined_list_costs_one_round_of_questions_for_each_portion() -> None:
    async def work() -> None:
        world = await Asked().start()
        count = 3 * MOST_AHEAD
        lines = b"".join([b"RCPT TO:<a%d@xeris.com>\r\n" % number for number in range(count)])
        session = SmtpSession(
            replace(POLICY, max_recipients=count), CLIENT, ORIGIN, lambda: 0.0, known=world.desk.known
        )
        session.connected()
        await world.desk.ready()
        effects = session.received(b"MAIL FROM:<ari@xeris.com>\r\n" + lines)
        rounds = 0
        while session.dialogue.then is not None:
            asked = effects[-1]
            assert isinstance(asked, Ask) and isinstance(asked.request, AskRecipient)
            request = asked.request
            answer = await world.desk.look_up(request.address, recipients_ahead(session.dialogue))
            effects, rounds = session.answered(answer), rounds + 1
        assert len(session.dialogue.mail.recipients) == len(world.asked) == count
        assert rounds == 3

    asyncio.run(work())
