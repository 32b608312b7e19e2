"""qmail-qmqpd on a real door: who is listed hands over a message, within bounds; everybody else is sent away."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from qmail.bus.ports import BusDown
from qmail.message.qmqp import netstring
from services.smtpd import qmqp
from services.smtpd.mail_transaction import GATHER_BYTES

Connect = Callable[[int], Any]
TEXT = b"Subject: x\n\n.a dot\nno end"


def request(text: bytes = TEXT, sender: bytes = b"ari@xeris.com", *recipients: bytes) -> bytes:
    parts = (text, sender, *(recipients or (b"joe@far.org", b"joni@xeris.com")))
    return netstring(b"".join(map(netstring, parts)))


@pytest.fixture
def door(directory: Path, open_door: Callable[..., Any]) -> Any:
    (directory / "control" / "qmqpclients").write_text("127.0.0.1\n192.0.2.0/24\n")
    return open_door(QMQP_LISTEN="127.0.0.1:0")


def port(door: Any) -> int:
    number: int = door.server.ports[-1]
    return number


def say(connect: Connect, door: Any, *pieces: bytes) -> bytes:
    client = connect(port(door))
    for piece in pieces:
        client.send(piece)
    answer: bytes = client.rest()
    return answer


def test_a_listed_client_hands_over_mail_for_any_domain(door: Any, connect: Connect) -> None:
    whole = request()
    for pieces in ([whole], [whole[i : i + 7] for i in range(0, len(whole), 7)]):
        answer = say(connect, door, *pieces)
        assert answer.partition(b":")[2].startswith(b"Kok ") and b" qp " in answer
    messages = door.messages()
    assert len(messages) == 2
    envelope, text = messages[0]
    assert [r.address.raw for r in envelope.recipients] == [b"joe@far.org", b"joni@xeris.com"]
    assert b"Received: from unknown (127.0.0.1)\n  by mail.xeris.com with QMQP; " in text
    assert text.endswith(b"\n" + TEXT)


def test_a_large_message_is_handed_on_in_parts(door: Any, connect: Connect) -> None:
    text = b"Subject: large\n\n" + b"0123456789abcde\n" * (GATHER_BYTES // 8)
    assert b"Kok " in say(connect, door, request(text))
    [(envelope, stored)] = door.messages()
    assert stored.endswith(text) and envelope.chunk_count > 0


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", qmqp.NOT_QMQP),
        (b"9999999999999:", qmqp.NOT_QMQP),
        (netstring(netstring(TEXT)), qmqp.NOT_QMQP),
        (netstring(netstring(TEXT) + netstring(b"a@b")), qmqp.NOT_QMQP),
        (netstring(netstring(TEXT) + netstring(b"a@b") + b"5:x,"), qmqp.NOT_QMQP),
        (request(TEXT, b"a@b", b"x\ny@far.org"), qmqp.BAD_ADDRESS),
        (request(TEXT, b"a@b", b""), qmqp.BAD_ADDRESS),
        (request(TEXT, b"a@b", b"x" * 1003), qmqp.BAD_ADDRESS),
        (b"99999999:26214401:", qmqp.TOO_BIG),
        (b"99999999:10:", qmqp.TOO_MANY),
        (request(b"Received: x\n" * 100 + b"\n"), qmqp.LOOPING),
    ],
)  # fmt: skip
def test_what_is_not_taken_and_nothing_is_kept(door: Any, connect: Connect, said: bytes, answer: bytes | None) -> None:
    client = connect(port(door))
    client.send(said)
    if answer is None:
        client.close()
    else:
        assert client.rest() == netstring(answer)
        assert any(line.startswith("refused message 127.0.0.1: QMQP: ") for line in door.log.lines)
    assert door.messages() == []


def test_a_bus_that_is_away_is_a_doubt(door: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise BusDown("away")

    monkeypatch.setattr(door.door.desk, "begin", down)
    assert say(connect, door, request()) == netstring(qmqp.NOT_NOW)


def test_who_is_not_listed_and_who_may_be_anybody_is_sent_away(door: Any, connect: Connect) -> None:
    door.door._own_networks = (ip_network("127.0.0.0/8"),)
    assert say(connect, door) == b""
    door.door._own_networks = ()
    (door.directory / "control" / "qmqpclients").write_text("192.0.2.0/24\n")
    assert say(connect, door) == b""
    assert any("not in control/qmqpclients" in line for line in door.log.lines)


def test_without_the_list_nobody_listens(open_door: Callable[..., Any]) -> None:
    door = open_door(QMQP_LISTEN="127.0.0.1:0")
    assert len(door.server.ports) == len(door.settings.smtp + door.settings.submission)
