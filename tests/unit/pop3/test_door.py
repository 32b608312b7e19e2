"""The role on loopback: sockets, TLS, acting threads, the auth role's desk, the bus in memory; poplib as client."""

from __future__ import annotations

import asyncio
import os
import poplib
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from qmail.accounts.hasher import HASHER
from qmail.accounts.identity import ActingPool
from qmail.door.admission import Budget
from qmail.door.limits import Limits
from qmail.log.log import Log
from qmail.role.loop import run
from services.pop3.door import Door
from services.pop3.settings import read_settings
from tests.support.clerk import Clerk
from tests.support.memory_bus import MemoryBus

CERTIFICATES = Path(__file__).parents[1] / "door" / "certificates"
UID = 2001 if os.geteuid() == 0 else os.geteuid()
GID = 2001 if os.geteuid() == 0 else max(os.getegid(), 1)
HASH = HASHER.hash(b"aripass")


class Deployment:
    """A directory as QMAIL_DIR has it, and the role in a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.maildir = root / "home/ari/Maildir"
        for folder in ("control", "users", "auth", "tls", "run", "home/ari/Maildir/new", "home/ari/Maildir/cur"):
            (root / folder).mkdir(parents=True)
        (self.maildir / "tmp").mkdir()
        (root / "control/me").write_text("mail.xeris.com\n")
        (root / "auth/passwd").write_text(f"ari:{HASH}\n")
        (root / "users/assign").write_text(f"=ari:ari:{UID}:{GID}:{root}/home/ari:::\n.\n")
        for name in ("cert.pem", "key.pem"):
            shutil.copy(CERTIFICATES / name, root / "tls")
        self.bus = MemoryBus()
        self.budget = Budget(60, 60)
        self.ports: tuple[int, ...] = ()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: run(self._serve()), daemon=True)

    def mail(self, name: str, content: bytes, age_seconds: int = 60) -> None:
        path = self.maildir / name
        path.write_bytes(content)
        os.utime(path, (time.time() - age_seconds,) * 2)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.maildir)) for path in self.maildir.rglob("*") if path.is_file()}

    def own(self) -> None:
        if os.geteuid() == 0:
            for path in [self.root / "home/ari", *(self.root / "home/ari").rglob("*")]:
                os.chown(path, UID, GID)
                path.chmod(0o700 if path.is_dir() else 0o600)

    def start(self) -> None:
        self.own()
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        environ = {
            "QMAIL_DIR": str(self.root),
            "POP3_LISTEN": "127.0.0.1:0,127.0.0.1:0/tls",
            "IDENTITY": "per-user" if os.geteuid() == 0 else "single",
            "ADDRESS": "192.0.2.1",
        }
        settings = replace(read_settings(environ), budget=self.budget)
        log = Log("qmail-pop3d")
        pool = ActingPool(per_user=settings.per_user, threads=2)
        threads = ThreadPoolExecutor(2)
        desk = (await Clerk(self.root, threads, self.bus).open()).verifier
        door = Door(settings, self.bus, pool, log)
        server = door.server(limits=Limits(grace_seconds=0.2))
        self.server = server
        await server.start()
        self.ports = server.ports
        self._ready.set()
        await self._stopping.wait()
        await server.stop()
        desk.close()
        pool.close()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    # Not tmp_path: nobody but root may pass through pytest's directory, and mail is read as the account.
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        made = Deployment(Path(directory))
        made.mail("new/1.a", b"Subject: one\n\n.dot\nend\n", 60)
        made.mail("cur/2.b:2,S", b"Subject: two\n\nbody\n", 30)
        yield made
        made.stop()


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def plain(made: Deployment) -> poplib.POP3:
    return poplib.POP3("127.0.0.1", made.ports[0], timeout=60)


def stls(made: Deployment) -> poplib.POP3:
    client = plain(made)
    client.stls(client_context())
    return client


def implicit(made: Deployment) -> poplib.POP3:
    return poplib.POP3_SSL("127.0.0.1", made.ports[1], timeout=60, context=client_context())


def log_in(client: poplib.POP3, user: str = "ari") -> poplib.POP3:
    client.user(user)
    client.pass_("aripass")
    return client


@pytest.mark.parametrize("connect", [plain, stls, implicit])
def test_mail_is_listed_read_and_deleted(deployment: Deployment, connect: Callable[[Deployment], poplib.POP3]) -> None:
    deployment.start()
    client = log_in(connect(deployment), "ARI@mail.xeris.com")
    assert client.stat() == (2, 42)
    assert client.uidl()[1] == [b"1 1.a", b"2 2.b"]
    assert client.retr(1)[1] == [b"Subject: one", b"", b".dot", b"end"]
    assert client.top(2, 0)[1] == [b"Subject: two", b""]
    client.dele(2)
    client.quit()
    assert deployment.files() == {"cur/1.a:2,"}


def test_a_disconnect_deletes_nothing(deployment: Deployment) -> None:
    deployment.start()
    client = log_in(plain(deployment))
    client.dele(1)
    client.close()
    other = log_in(plain(deployment))
    assert other.stat()[0] == 2
    assert deployment.files() == {"new/1.a", "cur/2.b:2,S"}


def test_a_message_deleted_by_another_session_cannot_be_opened_and_the_rest_can(deployment: Deployment) -> None:
    deployment.start()
    first, second = log_in(plain(deployment)), log_in(plain(deployment))
    first.dele(1)
    first.quit()
    with pytest.raises(poplib.error_proto, match="unable to open that message"):
        second.retr(1)
    assert second.retr(2)[1] == [b"Subject: two", b"", b"body"]
    second.dele(1)
    assert second.quit().startswith(b"+OK")


def test_a_large_message_arrives_whole(deployment: Deployment) -> None:
    body = b"".join(b".line %d\n" % number for number in range(150_000))
    deployment.mail("new/0.big", b"Subject: big\n\n" + body, 90)
    deployment.start()
    client = log_in(plain(deployment))
    assert b"\n".join(client.retr(1)[1]) + b"\n" == b"Subject: big\n\n" + body


def test_a_wrong_password_is_refused_and_the_right_one_then_taken(deployment: Deployment) -> None:
    deployment.start()
    client = plain(deployment)
    client.user("ari")
    with pytest.raises(poplib.error_proto, match="authorization failed"):
        client.pass_("wrong")
    client.user("ari")
    assert client.pass_("aripass").startswith(b"+OK")


def test_a_missing_mailbox_is_a_clear_error(deployment: Deployment) -> None:
    shutil.rmtree(deployment.maildir)
    deployment.start()
    with pytest.raises(poplib.error_proto, match=r"no .HOME/Maildir"):
        log_in(plain(deployment))


@pytest.mark.root(reason="only root can give a mailbox to somebody else")
def test_a_mailbox_of_somebody_else_is_a_clear_error_and_stays_as_it_is(deployment: Deployment) -> None:
    deployment.own()
    deployment.start()
    os.chown(deployment.maildir, 2002, 2002)
    deployment.maildir.chmod(0o755)
    with pytest.raises(poplib.error_proto, match="does not belong to this user"):
        log_in(plain(deployment))
    deployment.maildir.chmod(0o700)
    with pytest.raises(poplib.error_proto, match=r"unable to scan|does not belong"):
        log_in(plain(deployment))
    assert deployment.files() == {"new/1.a", "cur/2.b:2,S"}


def test_too_many_sessions_of_an_account_are_refused(deployment: Deployment) -> None:
    (deployment.root / "control/concurrencyperuserip").write_text("1\n")
    deployment.start()
    first = log_in(plain(deployment))
    with pytest.raises(poplib.error_proto, match=r"-ERR \[IN-USE\]"):
        log_in(plain(deployment))
    first.quit()


def test_the_bus_down_is_temporary(deployment: Deployment) -> None:
    deployment.start()
    client = plain(deployment)
    deployment.bus.connected = False
    with pytest.raises(poplib.error_proto, match="SYS/TEMP"):
        log_in(client)


def test_an_over_long_line_is_refused_and_the_session_goes_on(deployment: Deployment) -> None:
    deployment.start()
    with socket.create_connection(("127.0.0.1", deployment.ports[0]), 60) as client:
        stream = client.makefile("rb")
        stream.readline()
        client.sendall(b"USER " + b"x" * 1_000_000 + b"\r\nNOOP\r\n")
        assert stream.readline() == b"-ERR line too long\r\n"
        assert stream.readline() == b"+OK \r\n"


def test_extensions_none_speaks_as_qmail_does(deployment: Deployment) -> None:
    (deployment.root / "control/extensions").write_text("none\n")
    deployment.start()
    client = plain(deployment)
    with pytest.raises(poplib.error_proto, match="not supported"):
        client.capa()
    log_in(client)
    assert client.retr(2)[1] == [b"Subject: two", b"", b"body", b""]


def test_fifty_idle_connections_and_one_above_the_limit(deployment: Deployment) -> None:
    deployment.budget = Budget(51, 51)
    deployment.start()
    idle = [socket.create_connection(("127.0.0.1", deployment.ports[0]), 60) for _ in range(50)]
    assert all(client.recv(100).startswith(b"+OK ") for client in idle)
    active = log_in(plain(deployment))
    with pytest.raises(poplib.error_proto, match="too many connections"):
        plain(deployment)
    assert active.stat()[0] == 2
    assert len({client.getsockname() for client in idle}) == 50
    for client in idle:
        client.close()


def test_a_byte_now_and_then_does_not_keep_a_place_before_the_log_in(deployment: Deployment) -> None:
    deployment.start()
    logged_in = log_in(plain(deployment))
    with socket.create_connection(("127.0.0.1", deployment.ports[0]), 60) as client:
        stream = client.makefile("rb")
        stream.readline()
        age_all_connections(deployment, 601.0)
        client.sendall(b"N")
        assert stream.read() == b""
    assert logged_in.noop().startswith(b"+OK")


def age_all_connections(deployment: Deployment, seconds: float) -> None:
    """As if they had come so much earlier."""

    async def age() -> None:
        for connection in deployment.server.connections:
            connection.stay.since -= seconds

    asyncio.run_coroutine_threadsafe(age(), deployment._loop).result(60)


def test_greetings_are_all_different(deployment: Deployment) -> None:
    (deployment.root / "control/extensions").write_text("none\n")
    deployment.start()
    greetings = {plain(deployment).getwelcome() for _ in range(5)}
    assert len(greetings) == 5
    assert all(greeting.endswith(b"@mail.xeris.com>") for greeting in greetings)
