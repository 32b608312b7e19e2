"""The queue's socket: real connections; what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from qmail.bus import subjects
from qmail.message import netstring
from qmail.message.address import Address
from qmail.message.envelope import Origin
from qmail.queue.exits import CRASHED
from qmail.queue.socket.client import SocketQueue
from qmail.queue.socket.wire import ExitError, parse_envelope, render_envelope
from tests.support.queue_socket import ListeningSocket, put, put_in_thread

UID = os.getuid()


@pytest.fixture
def door(tmp_path: Path) -> ListeningSocket:
    return ListeningSocket(tmp_path)


def test_a_message_is_stored_with_the_callers_uid(door: ListeningSocket) -> None:
    code, number = asyncio.run(door.run(put_in_thread(b"Subject: x\n\nb\n", b"a@b", [b"c@d", b"e"])))
    assert code == 0
    ((envelope, body),) = door.stored()
    assert (envelope.id, envelope.sender.raw, body) == (number, b"a@b", b"Subject: x\n\nb\n")
    assert [recipient.address.raw for recipient in envelope.recipients] == [b"c@d", b"e"]
    assert (envelope.origin, envelope.parameters.body_type) == (Origin(uid=UID, role="admin"), "7BIT")
    assert envelope.prefix.startswith(b"Received: (qmail %d invoked by uid %d); " % (number, UID))


def test_alias_is_named(door: ListeningSocket) -> None:
    asyncio.run(door.run(put_in_thread("ö\n".encode(), b"", [b"c"]), alias_uid=UID))
    ((envelope, _),) = door.stored()
    assert b" invoked by alias); " in envelope.prefix
    assert envelope.parameters.body_type == "8BITMIME"


def test_a_large_message_goes_in_chunks(door: ListeningSocket) -> None:
    message = b"x" * 99 + b"\n"
    code, _ = asyncio.run(door.run(put_in_thread(message * 20_000, b"a", [b"b"])))
    ((envelope, _),) = door.stored()
    assert (code, envelope.size_bytes) == (0, 2_000_000)
    chunks = door.bus.streams[subjects.BODY].records.values()
    assert b"".join(record.payload for record in chunks) == message * 20_000


@pytest.mark.parametrize(
    ("sender", "recipients", "code"),
    [
        (b"x" * 1003, [b"a"], 11),
        (b"x" * 1002, [b"a"], 0),
        (b"a", [b"x" * 1003], 11),
        (b"a", [b"x"] * 5000, 0),
        (b"a", [b"x"] * 5001, 31),
        (b"a", [b"x"] * 600_000, 31),
    ],
)
def test_envelopes_are_bounded(door: ListeningSocket, sender: bytes, recipients: list[bytes], code: int) -> None:
    assert asyncio.run(door.run(put_in_thread(b"m\n", sender, recipients)))[0] == code
    assert len(door.bus.streams[subjects.IN].records) == (code == 0)


@pytest.mark.parametrize("octet", [*range(1, 0x20), 0x7F])
def test_an_address_with_control_characters_is_refused_but_as_qmail(door: ListeningSocket, octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"b@c"

    async def test(door: ListeningSocket) -> list[int]:
        said = []
        for exact in (False, True):
            door.exact = exact
            for sender, recipients in ((odd, [b"a"]), (b"a", [b"b", odd])):
                code, _ = await asyncio.to_thread(put, door.path, b"m\n", sender, recipients)
                said.append(code)
        return said

    assert asyncio.run(door.run(test)) == [12, 12, 0, 0]
    assert len(door.stored()) == 2


def test_databytes_bounds_the_message_and_what_was_stored_is_given_up(door: ListeningSocket) -> None:
    door.limit = 1_000_000
    code, _ = asyncio.run(door.run(put_in_thread(b"x" * 1_000_001, b"a", [b"b"])))
    assert code == 31
    assert door.stored() == []
    assert len(door.aborted) == 1


def test_a_full_stream_is_a_disk_that_is_full(door: ListeningSocket) -> None:
    door.bus.streams[subjects.IN].max_bytes = 10
    assert asyncio.run(door.run(put_in_thread(b"m\n", b"a", [b"b"]))) == (53, 0)


def test_a_bus_that_is_down_is_temporary(door: ListeningSocket) -> None:
    door.bus.connected = False
    assert asyncio.run(door.run(put_in_thread(b"m\n", b"a", [b"b"]))) == (71, 0)


@pytest.mark.parametrize("sent", [b"", b"3:abc,", b"3:abc,0:,4:Fa\0T,", b"70:"])
def test_a_client_that_hangs_up_leaves_nothing(door: ListeningSocket, sent: bytes) -> None:
    async def test(door: ListeningSocket) -> bytes:
        reader, writer = await asyncio.open_unix_connection(door.path)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(door.run(test)) == netstring.encode(b"54 0")
    assert door.stored() == []


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.0\r\n\r\n", b"99999999:", b"1:m,0:,3:abc,0:,", b"1:m,0:,1:\0,0:,"])
def test_a_client_that_talks_nonsense_is_refused(door: ListeningSocket, sent: bytes) -> None:
    async def test(door: ListeningSocket) -> bytes:
        reader, writer = await asyncio.open_unix_connection(door.path)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(door.run(test)) == netstring.encode(b"91 0")
    assert door.stored() == []


def test_nobody_else_may_write_where_the_socket_is(door: ListeningSocket) -> None:
    """A tmpfs of the engine's is everybody's at first; a user who fills it would stop the role's mark of health."""
    door.path.parent.chmod(0o1777)

    async def mode(door: ListeningSocket) -> int:
        return door.path.parent.stat().st_mode & 0o7777

    assert asyncio.run(door.run(mode)) == 0o755


def test_a_server_that_dies_is_a_crash(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "queue"))
        listener.listen()
        queue = SocketQueue(tmp_path / "queue")
        queue.open()
        listener.accept()[0].close()
        queue.write(b"m" * 1_000_000)
        assert queue.finish(Address(b"a"), [Address(b"b")]) == CRASHED


def test_envelope_forms() -> None:
    for sender, *recipients in ([b"a", b"b", b""], [b""]):
        envelope = (Address(sender), tuple(map(Address, recipients)))
        assert parse_envelope(render_envelope(*envelope)) == envelope
    assert render_envelope(Address(b"a\0b"), [Address(b"c\0")]) == b"Fa\0Tc\0\0", "C's strings end there"
    for broken, code in ((b"", 54), (b"Fa\0Tb\0", 54), (b"Fa", 54), (b"Ta\0\0", 91), (b"Fa\0Xb\0\0", 91)):
        with pytest.raises(ExitError) as caught:
            parse_envelope(broken)
        assert caught.value.code == code


@pytest.mark.root(reason="it changes its uid")
def test_another_user_is_known_by_the_kernel(door: ListeningSocket) -> None:
    # pytest's directories are its user's alone.
    for parent in door.path.parents:
        if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)

    def put_as_2002() -> int:
        pid = os.fork()
        if pid == 0:
            code = CRASHED
            try:
                os.setuid(2002)
                code = put(door.path, b"m\n", b"a", [b"b"])[0]
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert asyncio.run(door.run(lambda _: asyncio.to_thread(put_as_2002))) == 0
    ((envelope, _),) = door.stored()
    assert envelope.origin.uid == 2002
    assert b" invoked by uid 2002); " in envelope.prefix
