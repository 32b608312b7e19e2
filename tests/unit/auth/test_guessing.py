"""People who guess passwords beside people who log in, on a loop whose clock jumps: a verification takes 0.1 s."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from qmail.bus.talk import ask_pass, logins
from services.auth.budgets import RULES, Kind
from services.auth.password_verifier import REPEATED_SECONDS
from services.auth.row import NEWCOMER_SECONDS, PATIENCE_SECONDS
from tests.support import warp
from tests.support.clerk import NO, OK, TEMPORARY, Clerk
from tests.support.memory_bus import MemoryBus

VERIFY_SECONDS = 0.1
GUESSING_SECONDS = 30
HOME, CAFE = "192.0.2.1", "198.51.100.7"
GATEWAY = "172.29.25.1"
T = TypeVar("T")
numbers = itertools.count()


class Threads(Executor):
    """Verifications take the loop's time; how many run at once is the verifier's own affair."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        asyncio.get_running_loop().call_later(VERIFY_SECONDS, lambda: future.set_result(fn(*args, **kwargs)))
        return future


def consult(root: Path, talk: Callable[[Clerk], Awaitable[None]]) -> Clerk:
    async def main() -> Clerk:
        clerk = await Clerk(root, Threads()).open()
        await talk(clerk)
        clerk.verifier.close()
        return clerk

    return warp.run(main())


async def timed(asking: Awaitable[T]) -> tuple[float, T]:
    """Seconds of the loop that it takes, and what comes of it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await asking
    return loop.time() - began, result


def guess(clerk: Clerk, user: str, ip: str, **more: object) -> Awaitable[Any]:
    """A password that was never tried."""
    return clerk.ask(user, f"guess{next(numbers)}", ip=ip, **more)


async def keep_guessing(clerk: Clerk, user: Callable[[], str], ip: str, enough: asyncio.Event) -> None:
    while not enough.is_set():
        await guess(clerk, user(), ip)


async def beside(clerk: Clerk, guessers: list[tuple[Callable[[], str], str]], honest: Awaitable[T]) -> tuple[float, T]:
    """The honest one comes when the guessers have been at it for a while."""
    enough = asyncio.Event()
    tasks = [asyncio.create_task(keep_guessing(clerk, user, ip, enough)) for user, ip in guessers]
    await warp.time_passes(GUESSING_SECONDS)
    found = await timed(honest)
    enough.set()
    await asyncio.gather(*tasks)
    return found


def victim() -> str:
    return "ari"


def anybody() -> str:
    return f"name{next(numbers)}"


def test_the_right_password_after_five_wrong_ones_is_right_and_soon(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for _ in range(5):
            assert await guess(clerk, "ari", CAFE) == NO
        seconds, answer = await timed(clerk.ask("ari", "aripass", ip=CAFE))
        assert answer == OK and seconds <= RULES[Kind.PAIR].seconds + 1
        assert await clerk.ask("ari", "aripass", ip=CAFE, service="imap") == OK

    consult(root, talk)


def test_who_waits_is_answered_before_the_door_gives_up(root: Path) -> None:
    """Twenty wrong passwords at once use the pair's budget up for long; each is answered all the same."""

    async def talk(clerk: Clerk) -> None:
        answers = await asyncio.gather(*[timed(guess(clerk, "ari", CAFE)) for _ in range(20)])
        assert max(seconds for seconds, _ in answers) <= ask_pass.ANSWER_SECONDS
        later = int((PATIENCE_SECONDS - 1) // RULES[Kind.PAIR].seconds)
        assert [answer for _, answer in answers].count(NO) == RULES[Kind.PAIR].at_once + later
        assert {str(answer) for _, answer in answers} == {str(NO), str(TEMPORARY)}

    consult(root, talk)


def test_fifteen_accounts_tried_from_one_address_are_slowed(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        tried = asyncio.gather(*[guess(clerk, anybody(), CAFE) for _ in range(15)])
        seconds, answers = await timed(tried)
        rule = RULES[Kind.ADDRESS]
        assert answers == [NO] * 15 and seconds >= (15 - rule.at_once) * rule.seconds

    consult(root, talk)


def test_one_account_tried_from_many_addresses_is_slowed(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for ip in (f"10.0.0.{n}" for n in range(10)):
            await guess(clerk, "ari", ip)
        rounds = asyncio.gather(*[guess(clerk, "ari", f"10.0.0.{n}") for n in range(5)])
        seconds, answers = await timed(rounds)
        assert answers == [NO] * 5 and seconds >= 4 * RULES[Kind.ACCOUNT].seconds

    consult(root, talk)


def test_one_account_tried_once_each_from_ten_addresses_is_slowed(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        tried = asyncio.gather(*[guess(clerk, "ari", f"10.0.0.{n}") for n in range(10)])
        seconds, answers = await timed(tried)
        assert answers == [NO] * 10 and seconds >= NEWCOMER_SECONDS

    consult(root, talk)


@pytest.mark.parametrize("user", [victim, anybody])
def test_ninety_connections_of_one_address_hold_no_other_address_up(root: Path, user: Callable[[], str]) -> None:
    async def talk(clerk: Clerk) -> None:
        seconds, answer = await beside(clerk, [(user, "203.0.113.5")] * 90, clerk.ask("ari", "aripass", ip=CAFE))
        assert answer == OK and seconds <= NEWCOMER_SECONDS + 1

    consult(root, talk)


@pytest.mark.parametrize("user", [victim, anybody])
def test_a_hundred_guessing_addresses_do_not_hold_up_who_comes_from_where_he_always_comes(
    root: Path, user: Callable[[], str]
) -> None:
    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "aripass", ip=HOME, service="smtp") == OK
        net = [(user, f"10.0.0.{n}") for n in range(100)]
        seconds, answer = await beside(clerk, net, clerk.ask("ari", "aripass", ip=HOME))
        assert answer == OK and seconds <= 1

    consult(root, talk)


def test_nor_do_they_keep_a_traveller_out_whose_account_they_try(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        net = [(victim, f"10.0.0.{n}") for n in range(100)]
        seconds, answer = await beside(clerk, net, clerk.ask("ari", "aripass", ip=CAFE))
        assert answer == OK and seconds <= NEWCOMER_SECONDS + 1

    consult(root, talk)


def test_a_known_network_is_known_after_a_restart(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "aripass", ip=HOME) == OK
        await warp.time_passes(1)
        again = Clerk(root, Threads(), clerk.bus)
        account = again.verifier._files.account(b"ari")
        assert account is not None
        assert await again.verifier._known.knows(account, HOME)
        assert not await again.verifier._known.knows(account, CAFE)

    consult(root, talk)


def test_an_address_that_many_share_has_no_budget_of_its_own(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        tried = asyncio.gather(*[guess(clerk, anybody(), GATEWAY, shared=True) for _ in range(30)])
        seconds, answers = await timed(tried)
        assert answers == [NO] * 30 and seconds <= 30 * VERIFY_SECONDS

    consult(root, talk)


def test_a_listed_front_end_is_shared_too(root: Path) -> None:
    (root / "control/authfrontends").write_text("# the webmail\n192.0.2.64/26\n")

    async def talk(clerk: Clerk) -> None:
        tried = asyncio.gather(*[guess(clerk, anybody(), "192.0.2.70") for _ in range(30)])
        seconds, answers = await timed(tried)
        assert answers == [NO] * 30 and seconds <= 30 * VERIFY_SECONDS

    consult(root, talk)


def test_a_program_that_keeps_trying_an_old_password_slows_only_itself(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for _ in range(20):
            seconds, answer = await timed(clerk.ask("ari", "lastyear", ip=HOME))
            assert answer == NO and seconds <= REPEATED_SECONDS + VERIFY_SECONDS
        seconds, answer = await timed(clerk.ask("ari", "aripass", ip=HOME))
        assert answer == OK and seconds <= 2 * VERIFY_SECONDS

    consult(root, talk)


def test_an_office_that_begins_its_day_is_not_slowed(root: Path) -> None:
    """A hundred right passwords at once from one address that is not known."""

    async def talk(clerk: Clerk) -> None:
        services = [f"s{n}" for n in range(100)]
        morning = asyncio.gather(*[clerk.ask("ari", "aripass", ip=CAFE, service=service) for service in services])
        seconds, answers = await timed(morning)
        assert answers == [OK] * 100 and seconds <= 100 * VERIFY_SECONDS

    consult(root, talk)


def test_who_is_slowed_is_logged_shown_and_can_be_lifted(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for _ in range(5):
            await guess(clerk, "ari", CAFE)
        waiting = asyncio.create_task(clerk.ask("ari", "aripass", ip=CAFE))
        await warp.time_passes(1)
        shown = logins.parse_slowed(await clerk.bus.request(logins.SLOWED, b"", 5))
        assert sorted((one.kind, one.account, one.network, one.wrong) for one in shown) == [
            ("account", "ari", "", 5),
            ("account and address", "ari", CAFE, 5),
        ]
        assert any("slowed, account and address: 5 wrong passwords since " in line for line in clerk.log)
        assert not waiting.done()
        lifted = await clerk.bus.request(logins.LIFT, logins.encode_lift("ari"), 5)
        assert logins.parse_lifted(lifted) == 2
        seconds, answer = await timed(waiting)
        assert answer == OK and seconds <= 2 * VERIFY_SECONDS

    consult(root, talk)


def test_two_auths_are_no_more_generous_than_one(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        other = Clerk(root, Threads(), MemoryBus())
        other.verifier.slowing._publish = clerk.bus.publish
        await clerk.bus.subscribe(logins.WRONG, other.verifier.slowing._heard)
        for _ in range(5):
            await guess(clerk, "ari", CAFE)
        await warp.time_passes(0.5)
        await other.bus.subscribe(ask_pass.SUBJECT, lambda message: other.verifier.take(other.bus, message), "workers")
        seconds, answer = await timed(other.ask("ari", "aripass", ip=CAFE))
        assert answer == OK and seconds > 1
        other.verifier.close()

    consult(root, talk)
