"""Handlers written for aiosmtpd: what they are asked and see, what becomes of their answers, and their bounds."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from qmail.control.paths import read_paths
from qmail.control.settings import SettingsError
from services.smtpd import door as door_module
from services.smtpd import replies
from services.smtpd.plugin import load_plugin
from tests.support.deployment import eventually

Connect = Callable[[int], Any]
OpenDoor = Callable[..., Any]

MESSAGE = b"Subject: x\r\n\r\nbody\r\n.\r\n"


def greeted(connect: Connect, port: int) -> Any:
    client = connect(port)
    assert client.reply() == b"220 mail.xeris.com ESMTP\r\n"
    return client


def begin(client: Any, sender: bytes = b"ari@xeris.com", *recipients: bytes) -> None:
    assert client.ask(b"MAIL FROM:<" + sender + b">").startswith(b"250 ")
    for recipient in recipients or (b"joni@xeris.com",):
        assert client.ask(b"RCPT TO:<" + recipient + b">").startswith(b"250 ")
    assert client.ask(b"DATA") == replies.GO_AHEAD


def put(client: Any, text: bytes = MESSAGE) -> bytes:
    client.send(text)
    reply: bytes = client.reply()
    return reply


class Deciding:
    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        return [*responses[:1], f"250 HELLO {hostname}"]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address == "spam@x":
            return "550 no spam"
        envelope.mail_from = address.lower()
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address == "boom@xeris.com":
            raise RuntimeError("plug-in at fault")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "554 virus" if b"virus" in envelope.content else "250 OK"


def test_hooks_decide(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(handler=Deciding())
    client = greeted(connect, door.port)
    assert client.ask(b"EHLO me") == b"250-mail.xeris.com\r\n250 HELLO me\r\n"
    assert client.ask(b"MAIL FROM:<spam@x>") == b"550 no spam\r\n"
    assert client.ask(b"MAIL FROM:<Ari@XERIS.com>") == b"250 OK\r\n"
    assert client.ask(b"RCPT TO:<boom@xeris.com>").startswith(b"451 ")
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"250 OK\r\n"
    client.ask(b"DATA")
    assert put(client, b"Subject: a virus\r\n\r\n.\r\n") == b"554 virus\r\n"
    client.ask(b"MAIL FROM:<Ari@XERIS.com>")
    client.ask(b"RCPT TO:<joni@xeris.com>")
    client.ask(b"DATA")
    assert put(client).startswith(b"250 ok ")
    [(envelope, _)] = door.messages()
    assert envelope.sender.raw == b"ari@xeris.com"
    assert [each.address.raw for each in envelope.recipients] == [b"joni@xeris.com"]


class Watching:
    """Has one hook and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        assert server.session is session and session.peer[0] == "127.0.0.1"
        before = getattr(envelope, "mark", None)
        envelope.mark = "mine"
        self.seen.append((session.host_name, envelope.mail_from, envelope.rcpt_tos, envelope.content, before))
        return "250 OK"


def test_each_message_shows_its_own_envelope_whatever_hooks_there_are(open_door: OpenDoor, connect: Connect) -> None:
    handler = Watching()
    client = greeted(connect, open_door(handler=handler).port)
    client.ask(b"HELO me")
    begin(client, b"ari@xeris.com", b"joni@xeris.com", b"joe@xeris.com")
    assert put(client, b"a\r\n..b\r\n.\r\n").startswith(b"250 ok ")
    begin(client, b"given@up", b"joe@xeris.com")
    put(client, b"1\r\n.\r\n")
    client.ask(b"RSET")
    begin(client, b"", b"joni@xeris.com")
    put(client, b"2\r\n.\r\n")
    assert handler.seen == [
        ("me", "ari@xeris.com", ["joni@xeris.com", "joe@xeris.com"], b"a\r\n.b\r\n", None),
        ("me", "given@up", ["joe@xeris.com"], b"1\r\n", None),
        ("me", "", ["joni@xeris.com"], b"2\r\n", None),
    ]


class Everything:
    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        return f"250 hello {hostname}"

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        return "250 HELP"

    async def handle_NOOP(self, server: Any, session: Any, envelope: Any, argument: str) -> str:
        return f"250 noop {argument}"

    async def handle_RSET(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 reset"

    async def handle_VRFY(self, server: Any, session: Any, envelope: Any, address: str) -> str:
        return f"252 maybe {address}"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> bytes:
        return b"221 bye"


@pytest.mark.filterwarnings("ignore:Use the 5-argument handle_EHLO")
def test_every_hook_that_is_called(open_door: OpenDoor, connect: Connect) -> None:
    client = greeted(connect, open_door(handler=Everything()).port)
    assert client.ask(b"HELO me") == b"250 hello me\r\n"
    lines = client.ask(b"EHLO me").splitlines()
    assert lines[0] == b"250-mail.xeris.com" and lines[-1] == b"250 HELP" and b"250-PIPELINING" in lines
    assert client.ask(b"NOOP x") == b"250 noop x\r\n"
    assert client.ask(b"VRFY joni") == b"252 maybe joni\r\n"
    assert client.ask(b"MAIL FROM:<a@b>") == b"250 ok\r\n"
    assert client.ask(b"RSET") == b"250 reset\r\n"
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == replies.MAIL_FIRST
    assert client.ask(b"QUIT") == b"221 bye\r\n"
    assert client.rest() == b""


class Accepting:
    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append("sales@other.org" if address == "alias@xeris.com" else address)
        return "250 taken"


def test_a_plugin_that_accepts_does_not_make_a_mailbox(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(handler=Accepting())
    door.answer("ask.rcpt", lambda question: b'{"answer": "%s"}' % (b"ok" if b"joni" in question else b"no"))
    client = greeted(connect, door.port)
    client.ask(b"MAIL FROM:<a@b>")
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"250 taken\r\n"
    assert client.ask(b"RCPT TO:<nobody@xeris.com>") == replies.NO_MAILBOX
    assert client.ask(b"RCPT TO:<joni@far.org>") == replies.NOT_IN_RCPTHOSTS
    assert client.ask(b"RCPT TO:<alias@xeris.com>") == b"250 taken\r\n"
    client.ask(b"DATA")
    put(client)
    [(envelope, _)] = door.messages()
    assert [each.address.raw for each in envelope.recipients] == [b"joni@xeris.com", b"sales@other.org"]


class Answering:
    """Answers DATA with whatever it is told to; an exception is raised."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "reply", "logged"),
    [
        (None, b"250 ok ", ""),
        ("250 OK", b"250 ok ", ""),
        ("550-two\r\n550 lines", b"550-two\r\n550 lines\r\n", ""),
        (b"450 later\r\n", b"450 later\r\n", ""),
        ("554", b"554\r\n", ""),
        ("hello", replies.LOCAL_ERROR, "ValueError: no reply of SMTP: 'hello'"),
        ("250 ok\r\n221 bye", replies.LOCAL_ERROR, "ValueError: no reply of SMTP: '250 ok\\r\\n221 bye'"),
        (True, replies.LOCAL_ERROR, "ValueError: neither text nor bytes: True"),
        (KeyError("x\r\ny"), replies.LOCAL_ERROR, "KeyError: 'x\\r\\ny'"),
        (asyncio.CancelledError(), replies.LOCAL_ERROR, "RuntimeError: it cancelled itself"),
    ],
)
def test_an_answer_is_the_reply_and_a_fault_is_a_451_and_a_line(
    open_door: OpenDoor, connect: Connect, answer: object, reply: bytes, logged: str
) -> None:
    door = open_door(handler=Answering(answer))
    client = greeted(connect, door.port)
    begin(client)
    assert put(client).startswith(reply)
    lines = [line.partition(": PluginError: handle_DATA: ")[2] for line in door.log.lines if " failed: " in line]
    assert lines == [logged] * bool(logged)
    assert bool(door.messages()) == reply.startswith(b"250")
    assert client.ask(b"NOOP") == b"250 ok\r\n"


class Deaf:
    """Does not end when it is told to."""

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        never = asyncio.get_running_loop().create_future()
        with contextlib.suppress(asyncio.CancelledError):
            await never
        await asyncio.get_running_loop().create_future()
        return "250 never"


def test_a_handler_that_takes_too_long_is_a_451(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(handler=Deaf(), seconds=0.05)
    client = greeted(connect, door.port)
    for _ in range(2):
        assert client.ask(b"MAIL FROM:<a@b>") == replies.LOCAL_ERROR
    assert door.log.lines[-2].endswith(" failed: PluginError: handle_MAIL: TimeoutError: no answer in 0.05 seconds")
    assert client.ask(b"QUIT").startswith(b"221 ")


def test_bodies_that_a_handler_wants_are_bounded_over_all_sessions(
    open_door: OpenDoor, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "BODIES_BYTES", 100_000)
    door = open_door(handler=Watching())
    large = (b"x" * 78 + b"\r\n") * 1000
    first, second = (greeted(connect, door.port) for _ in range(2))
    begin(first)
    first.send(large)
    eventually(lambda: door.do(lambda: door.door.hooks.held_bytes) > 70_000, "the first is there")
    begin(second)
    assert put(second, large + b".\r\n") == replies.BODIES_FULL
    begin(second)
    assert put(second).startswith(b"250 ok "), "a small one has room"
    assert put(first, b".\r\n").startswith(b"250 ok ")
    begin(second)
    assert put(second, large + b".\r\n").startswith(b"250 ok ")
    begin(first)
    first.send(large)
    eventually(lambda: door.do(lambda: door.door.hooks.held_bytes) > 70_000, "it is there again")
    first.close()
    eventually(lambda: door.do(lambda: door.door.hooks.held_bytes) == 0, "who hangs up takes nothing along")
    assert len(door.messages()) == 3


def test_without_handle_data_nothing_is_held_back(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(handler=Accepting())
    client = greeted(connect, door.port)
    begin(client)
    client.send((b"x" * 78 + b"\r\n") * 20_000)
    eventually(lambda: door.do(lambda: len(door.bus.streams["BODY"].records)), "parts leave before the end")
    assert door.do(lambda: door.door.hooks.held_bytes) == 0
    assert put(client, b".\r\n").startswith(b"250 ok ")


class Authenticating:
    def authenticator(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        if data.login == b"boom":
            raise OSError("no directory")
        return AuthResult(success=data.password == b"secret", auth_data=data)


def test_an_authenticator_answers_auth(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(handler=Authenticating())
    client = greeted(connect, door.port)
    client.ask(b"EHLO x")
    assert client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0ari\0no")).startswith(b"535 ")
    assert client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0boom\0no")).startswith(b"454 ")
    assert door.log.lines[-2].endswith(" failed: PluginError: authenticator: OSError: no directory")
    assert client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0ari\0secret")).startswith(b"235 ")
    begin(client, b"ari@xeris.com", b"x@far.org")
    put(client)
    [(envelope, _)] = door.messages()
    assert envelope.origin.account == b"ari"


# --- control/smtpdhandler ---

PACKAGE = """
class Filter:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"

class Greedy(Filter):
    async def handle_STARTTLS(self, server, session, envelope):
        return True
    async def auth_PLAIN(self, server, args):
        return None

class Strange:
    async def handle_EHLO(self, server):
        return "250 OK"

class Broken:
    def __init__(self):
        raise OSError("no database")
"""


@pytest.fixture
def package(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own beside the deployment's control files."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (directory / "plugins" / "acme").mkdir(parents=True)
    (directory / "plugins" / "acme" / "__init__.py").touch()
    (directory / "plugins" / "acme" / "mail.py").write_text(PACKAGE)
    (directory / "plugins" / "acme" / "faulty.py").write_text("import nothing_like_this\n")
    yield directory
    for name in [name for name in sys.modules if name.split(".")[0] == "acme"]:
        del sys.modules[name]


def test_a_handler_from_a_package_of_its_own(package: Path, open_door: OpenDoor, connect: Connect) -> None:
    (package / "control/smtpdhandler").write_text(" acme.mail:Filter \r\n")
    make = load_plugin(read_paths({"QMAIL_DIR": str(package)}))
    assert make is not None
    assert make().verbs >= {"DATA", "MAIL"} and "NOOP" not in make().verbs


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_the_file_there_is_none(package: Path, content: str | None) -> None:
    if content is not None:
        (package / "control/smtpdhandler").write_text(content)
    path = list(sys.path)
    assert load_plugin(read_paths({"QMAIL_DIR": str(package)})) is None
    assert sys.path == path


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("acme.mail:Nobody", "AttributeError: module 'acme.mail' has no attribute 'Nobody'"),
        ("acme.nowhere:Filter", "ModuleNotFoundError: No module named 'acme.nowhere'"),
        ("acme.faulty:Filter", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("acme.mail:Greedy", "acme.mail:Greedy, whose auth_PLAIN, handle_STARTTLS would not be called"),
        ("acme.mail:Strange", "RuntimeError: Unsupported EHLO Hook"),
        ("acme.mail:Broken", "OSError: no database"),
    ],
)
def test_a_handler_that_cannot_be_is_refused_at_start(package: Path, name: str, fault: str) -> None:
    (package / "control/smtpdhandler").write_text(name + "\n")
    with pytest.raises(SettingsError) as refused:
        make = load_plugin(read_paths({"QMAIL_DIR": str(package)}))
        assert make is not None
        make()
    where = f"{package}/control/smtpdhandler:1: expected a handler written for aiosmtpd, found {name}"
    assert str(refused.value).startswith(where) and str(refused.value).endswith(fault)
