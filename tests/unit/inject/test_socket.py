"""The queue's socket: real connections, real commands; what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from qmail.bus import subjects
from qmail.message import netstring
from qmail.message.address import Address
from qmail.message.envelope import Envelope, Origin, decode_envelope
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.queue.socket.client import CRASHED, SocketQueue, render_envelope
from qmail.queue.socket.server import ExitError, parse_envelope, serve_socket
from tests.support.memory_bus import MemoryBus

ROOT = Path(__file__).parents[3]
UID = os.getuid()


class Door:
    """A listening socket over a bus in memory."""

    def __init__(self, directory: Path) -> None:
        self.bus = MemoryBus()
        self.path = directory / "queue"
        self.limit = 0
        self.exact = False
        self.aborted: list[bytes] = []

    def stored(self) -> list[tuple[Envelope, bytes]]:
        found = []
        for record in self.bus.streams[subjects.IN].records.values():
            header = base64.b64decode(record.headers[subjects.ENVELOPE_HEADER])
            found.append((decode_envelope(header), record.payload))
        return found

    async def run(self, test: Callable[[Door], Awaitable[Any]], alias_uid: int | None = None) -> Any:
        ids = IdSource()
        ids.grant(1, 0, 2**62)
        await self.bus.subscribe("abort", lambda message: self.aborted.append(message.payload))
        server = await serve_socket(
            self.path,
            Submitter(self.bus, ids),
            "admin",
            max_bytes=lambda: self.limit,
            exact=lambda: self.exact,
            alias_uid=alias_uid,
        )
        try:
            async with asyncio.timeout(60):
                return await test(self)
        finally:
            server.close()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def put(path: Path, message: bytes, sender: bytes, recipients: list[bytes]) -> tuple[int, int]:
    queue = SocketQueue(path)
    queue.open()
    queue.write(message)
    return queue.finish(sender, recipients), queue.number


def put_in_thread(*arguments: Any) -> Callable[[Door], Awaitable[tuple[int, int]]]:
    return lambda door: asyncio.to_thread(put, door.path, *arguments)


def test_a_message_is_stored_with_the_callers_uid(door: Door) -> None:
    code, number = asyncio.run(door.run(put_in_thread(b"Subject: x\n\nb\n", b"a@b", [b"c@d", b"e"])))
    assert code == 0
    ((envelope, body),) = door.stored()
    assert (envelope.id, envelope.sender.raw, body) == (number, b"a@b", b"Subject: x\n\nb\n")
    assert [recipient.address.raw for recipient in envelope.recipients] == [b"c@d", b"e"]
    assert (envelope.origin, envelope.parameters.body_type) == (Origin(uid=UID, role="admin"), "7BIT")
    assert envelope.prefix.startswith(b"Received: (qmail %d invoked by uid %d); " % (number, UID))


def test_alias_is_named(door: Door) -> None:
    asyncio.run(door.run(put_in_thread("ö\n".encode(), b"", [b"c"]), alias_uid=UID))
    ((envelope, _),) = door.stored()
    assert b" invoked by alias); " in envelope.prefix
    assert envelope.parameters.body_type == "8BITMIME"


def test_a_large_message_goes_in_chunks(door: Door) -> None:
    message = b"x" * 99 + b"\n"
    code, _ = asyncio.run(door.run(put_in_thread(message * 20_000, b"a", [b"b"])))
    ((envelope, _),) = door.stored()
    assert (code, envelope.size_bytes) == (0, 2_000_000)
    chunks = door.bus.streams[subjects.BODY].records.values()
    assert b"".join(record.payload for record in chunks) == message * 20_000


@pytest.mark.parametrize(
    ("sender", "recipients", "code"),
    [(b"x" * 1003, [b"a"], 11), (b"x" * 1002, [b"a"], 0), (b"a", [b"x" * 1003], 11), (b"a", [b"x"] * 600_000, 31)],
)
def test_envelopes_are_bounded(door: Door, sender: bytes, recipients: list[bytes], code: int) -> None:
    assert asyncio.run(door.run(put_in_thread(b"m\n", sender, recipients)))[0] == code
    assert len(door.stored()) == (code == 0)


@pytest.mark.parametrize("octet", [*range(1, 0x20), 0x7F])
def test_an_address_with_control_characters_is_refused_but_as_qmail(door: Door, octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"b@c"

    async def test(door: Door) -> list[int]:
        said = []
        for exact in (False, True):
            door.exact = exact
            for sender, recipients in ((odd, [b"a"]), (b"a", [b"b", odd])):
                code, _ = await asyncio.to_thread(put, door.path, b"m\n", sender, recipients)
                said.append(code)
        return said

    assert asyncio.run(door.run(test)) == [12, 12, 0, 0]
    assert len(door.stored()) == 2


def test_databytes_bounds_the_message_and_what_was_stored_is_given_up(door: Door) -> None:
    door.limit = 1_000_000
    code, _ = asyncio.run(door.run(put_in_thread(b"x" * 1_000_001, b"a", [b"b"])))
    assert code == 31
    assert door.stored() == []
    assert len(door.aborted) == 1


def test_a_full_stream_is_a_disk_that_is_full(door: Door) -> None:
    door.bus.streams[subjects.IN].max_bytes = 10
    assert asyncio.run(door.run(put_in_thread(b"m\n", b"a", [b"b"]))) == (53, 0)


def test_a_bus_that_is_down_is_temporary(door: Door) -> None:
    door.bus.connected = False
    assert asyncio.run(door.run(put_in_thread(b"m\n", b"a", [b"b"]))) == (71, 0)


@pytest.mark.parametrize("sent", [b"", b"3:abc,", b"3:abc,0:,4:Fa\0T,", b"70:"])
def test_a_client_that_hangs_up_leaves_nothing(door: Door, sent: bytes) -> None:
    async def test(door: Door) -> bytes:
        reader, writer = await asyncio.open_unix_connection(door.path)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(door.run(test)) == netstring.encode(b"54 0")
    assert door.stored() == []


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.0\r\n\r\n", b"99999999:", b"1:m,0:,3:abc,0:,", b"1:m,0:,1:\0,0:,"])
def test_a_client_that_talks_nonsense_is_refused(door: Door, sent: bytes) -> None:
    async def test(door: Door) -> bytes:
        reader, writer = await asyncio.open_unix_connection(door.path)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(door.run(test)) == netstring.encode(b"91 0")
    assert door.stored() == []


def test_nobody_else_may_write_where_the_socket_is(door: Door) -> None:
    """A tmpfs of the engine's is everybody's at first; a user who fills it would stop the role's mark of health."""
    door.path.parent.chmod(0o1777)

    async def mode(door: Door) -> int:
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
        assert queue.finish(b"a", [b"b"]) == CRASHED


def test_envelope_forms() -> None:
    assert parse_envelope(render_envelope(b"a", [b"b", b""])) == (Address(b"a"), (Address(b"b"), Address(b"")))
    assert parse_envelope(render_envelope(b"", [])) == (Address(b""), ())
    for broken, code in ((b"", 54), (b"Fa\0Tb\0", 54), (b"Fa", 54), (b"Ta\0\0", 91), (b"Fa\0Xb\0\0", 91)):
        with pytest.raises(ExitError) as caught:
            parse_envelope(broken)
        assert caught.value.code == code


# The commands themselves, as a shell starts them.


def command(
    directory: Path, module: str, arguments: list[str], stdin: bytes, **more: Any
) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.environ["PATH"], "QMAIL_DIR": str(directory), "USER": "ari", **more.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", f"services.inject{module}", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=environ,
        check=False,
        **more,
    )


@pytest.fixture
def machine(tmp_path: Path) -> Door:
    (tmp_path / "run").mkdir()
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.xeris.com\n")
    return Door(tmp_path / "run")


def run_command(machine: Door, module: str, arguments: list[str], stdin: bytes) -> Any:
    directory = machine.path.parents[1]
    return asyncio.run(machine.run(lambda _: asyncio.to_thread(command, directory, module, arguments, stdin)))


def test_the_tutorials_first_mail(machine: Door) -> None:
    done = run_command(machine, "", [], b"to:root\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    ((envelope, body),) = machine.stored()
    assert envelope.sender.raw == b"ari@mail.xeris.com"
    assert [recipient.address.raw for recipient in envelope.recipients] == [b"root@mail.xeris.com"]
    assert body.endswith(b"From: ari@mail.xeris.com\nto: root@mail.xeris.com\n")


def test_sendmail_t(machine: Door) -> None:
    done = run_command(machine, ".sendmail", ["-t", "-f", "joe@x.org"], b"To: joni\nBcc: diva\n\nhi\n")
    assert done.returncode == 0
    ((envelope, body),) = machine.stored()
    assert envelope.sender.raw == b"joe@x.org"
    assert len(envelope.recipients) == 2
    assert b"diva" not in body


def test_crlf_on_sendmails_input_makes_no_empty_line_and_leaves_no_carriage_return(machine: Door) -> None:
    """PHP 8's mail() ends its lines with CRLF; a CR within a line stays."""
    done = run_command(machine, ".sendmail", ["-t", "-i"], b"To: diva\r\nSubject: php\r\n\r\nsatu\r\nd\rua\r\n")
    assert done.returncode == 0
    ((_, body),) = machine.stored()
    assert body.endswith(b"To: diva@mail.xeris.com\nSubject: php\n\nsatu\nd\rua\n")


def test_sendmail_with_angle_brackets_has_the_null_sender(machine: Door) -> None:
    assert run_command(machine, ".sendmail", ["-i", "-f", "<>", "joni"], b"Subject: cron\n\nx\n").returncode == 0
    ((envelope, _),) = machine.stored()
    assert envelope.sender.raw == b""


def test_qmail_queue_reads_two_descriptors(machine: Door) -> None:
    # A shell gives descriptor 1 to reading, as callers of qmail-queue do.
    directory = machine.path.parents[1]
    (directory / "envelope").write_bytes(render_envelope(b"a@b", [b"c@d"]))
    script = f"{sys.executable} -m services.inject.qmail_queue 1<{directory}/envelope"

    def put_by_shell() -> int:
        environ = {**os.environ, "QMAIL_DIR": str(directory)}
        return subprocess.run(["sh", "-c", script], input=b"m\n", cwd=ROOT, env=environ, check=False).returncode

    assert asyncio.run(machine.run(lambda _: asyncio.to_thread(put_by_shell))) == 0
    ((envelope, body),) = machine.stored()
    assert (envelope.sender.raw, body) == (b"a@b", b"m\n")


def test_no_socket_is_a_temporary_failure(machine: Door) -> None:
    done = command(machine.path.parents[1], "", [], b"to:root\n")
    assert done.returncode == 111
    assert done.stderr == b"qmail-inject: fatal: unable to run qmail-queue\n"


def test_a_refusal_is_told_with_its_exit_code(machine: Door) -> None:
    machine.limit = 5
    done = run_command(machine, "", [], b"to:root\n\nlonger than that\n")
    assert done.returncode == 100
    assert done.stderr == b"qmail-inject: fatal: mail server permanently rejected message (#5.3.0)\n"


@pytest.mark.root(reason="it changes its uid")
def test_another_user_is_known_by_the_kernel(door: Door) -> None:
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
