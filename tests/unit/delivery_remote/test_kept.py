"""Connections that stand for the next message: shared, bounded, given back; a dead one costs no attempt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.delivery.outcome import Kind, Outcome
from services.delivery.remote import kept as kept_module
from services.delivery.remote.deliver import RemoteDelivery
from services.delivery.remote.kept import KeptConnections
from tests.support.scripted import ScriptedServer, Step
from tests.unit.delivery_remote.test_delivery import (
    ACCEPTS,
    Far,
    Keeper,
    delivery,
    run,
    start_aiosmtpd,
    tls_settings,
)

SUCCESS: Step = {"send": b"250 ok\r\n"}
OFFERS: list[Step] = [{"send": b"220 hi\r\n"}, {"do": "line"}, {"send": b"250-hi\r\n250 PIPELINING\r\n"}]
# RSET, MAIL, RCPT and DATA come in one piece.
GROUP: list[Step] = [{"do": "line"}] * 4
ONE: list[Step] = [*OFFERS, *GROUP[1:], {"send": b"250 ok\r\n250 ok\r\n354 go\r\n"}, {"do": "data"}, SUCCESS]
NEXT: list[Step] = [*GROUP, {"send": b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}, {"do": "data"}]


def deliver_twice(tmp_path: Path, *scripts: list[Step], idle_seconds: float = 5.0) -> tuple[list[Outcome], list[bytes]]:
    """Two messages to a scripted server, one after the other; what each of its connections received."""

    async def test(far: Far) -> tuple[list[Outcome], list[bytes]]:
        server = ScriptedServer(scripts)
        await server.start()
        far.ports["192.0.2.1"] = server.port
        far.world = replace(far.world, kept=KeptConnections(idle_seconds))
        remote = RemoteDelivery(far.world)
        outcomes = [await remote.deliver(delivery(b"joe@remote.org")) for _ in range(2)]
        remote.close()
        await server.stop()
        return outcomes, [bytes(one) for one in server.received]

    result: tuple[list[Outcome], list[bytes]] = run(tmp_path, test)
    return result


@pytest.mark.parametrize("tls", [False, True])
def test_one_message_after_the_other_goes_by_one_connection(tmp_path: Path, tls: bool) -> None:
    keeper = Keeper()

    async def test(far: Far) -> list[Outcome]:
        server = await start_aiosmtpd(far, keeper, **(tls_settings(tmp_path) if tls else {}))
        remote = RemoteDelivery(replace(far.world, kept=KeptConnections(60.0)))
        outcomes = [await remote.deliver(delivery(b"joe@remote.org")) for _ in range(3)]
        remote.close()
        server.close()
        assert far.opened == ["192.0.2.1"]
        return outcomes

    assert {outcome.kind for outcome in run(tmp_path, test)} == {Kind.SUCCESS}
    assert [envelope.rcpt_tos for envelope in keeper.envelopes] == [["joe@remote.org"]] * 3
    assert keeper.tls == [tls] * 3


def test_extensions_none_makes_a_connection_for_each_message(tmp_path: Path) -> None:
    async def test(far: Far) -> list[str]:
        server = ScriptedServer([[*ACCEPTS, SUCCESS]] * 2)
        await server.start()
        far.ports["192.0.2.1"] = server.port
        for _ in range(2):
            await RemoteDelivery(far.world).deliver(delivery(b"joe@remote.org"))
        await server.stop()
        assert all(b"QUIT\r\n" in received for received in server.received)
        return far.opened

    assert run(tmp_path, test, extensions="none\n") == ["192.0.2.1"] * 2


@pytest.mark.parametrize(
    "end",
    [
        [{"do": "close"}],
        [{"do": "line"}, {"do": "close"}],
        [{"do": "line"}, {"do": "reset"}],
        [*GROUP, {"send": b"421 you were idle\r\n"}],
        [*GROUP, {"send": b"250 ok\r\n452 enough for one connection\r\n"}],
        [{"send": b"421 idle too long\r\n"}, {"do": "line"}],
    ],
)
def test_what_ends_a_kept_connection_before_the_final_dot_costs_no_attempt(tmp_path: Path, end: list[Step]) -> None:
    outcomes, received = deliver_twice(tmp_path, [*ONE, *end], ONE)
    assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS] * 2
    assert received[1].count(b"\r\n.\r\n") == 1


def test_a_kept_connection_that_dies_after_the_final_dot_never_sends_the_message_again(tmp_path: Path) -> None:
    outcomes, received = deliver_twice(tmp_path, [*ONE, *NEXT, {"do": "reset"}], ONE)
    assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS, Kind.DEFERRAL]
    assert outcomes[1].text == b"Connected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"
    assert len(received) == 1


def test_nobody_uses_a_connection_that_other_settings_have_made(tmp_path: Path) -> None:
    async def test(far: Far) -> list[str]:
        server = await start_aiosmtpd(far, Keeper(), **tls_settings(tmp_path))
        remote = RemoteDelivery(far.world)
        await remote.deliver(delivery(b"joe@remote.org"))
        (tmp_path / "notlshosts").write_text("remote.org\n")
        await remote.deliver(delivery(b"joe@remote.org"))
        (tmp_path / "helohost").write_text("another.example\n")
        await remote.deliver(delivery(b"joe@remote.org"))
        server.close()
        return far.opened

    assert len(run(tmp_path, test)) == 3


def test_an_idle_connection_is_given_back_with_quit(tmp_path: Path) -> None:
    outcomes, received = deliver_twice(tmp_path, [*ONE, {"do": "line"}], ONE, idle_seconds=0.0)
    assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS] * 2
    assert [one.endswith(b"\r\n.\r\nQUIT\r\n") for one in received] == [True, True]


def test_no_more_are_kept_than_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "MAX_KEPT", 1)

    async def test(far: Far) -> list[bytes]:
        servers = [ScriptedServer([ONE]), ScriptedServer([ONE])]
        far.world = replace(far.world, kept=KeptConnections(60.0))
        remote = RemoteDelivery(far.world)
        for server, address in zip(servers, ("192.0.2.1", "192.0.2.2"), strict=True):
            await server.start()
            far.ports[address] = server.port
            await remote.deliver(delivery(b"joe@[" + address.encode() + b"]"))
        await servers[0].stop()  # which waits for its end
        first = bytes(servers[0].received[0])
        remote.close()
        await servers[1].stop()
        return [first, bytes(servers[1].received[0])]

    assert [one.endswith(b"QUIT\r\n") for one in run(tmp_path, test)] == [True, True]
