"""The admin role against a real bus: who is there, and qmailctl."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qmail.bus.connect import connect
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown
from qmail.control.paths import read_paths
from qmail.log.notices import Notices
from services.admin.bus.streams import read_definitions
from services.admin.commands.bus_monitor import BusState, read_bus_state
from services.admin.commands.presences import Presences, ask_presences, hearing
from tests.support.bus_server import BusServer
from tests.support.ports import free_port
from tests.support.source import ROOT

WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    bus = BusServer(Path(tmp_path_factory.mktemp("deployment")))
    bus.start()
    try:
        bus.make_streams()
        yield bus
    finally:
        bus.stop()


def environ(server: BusServer) -> dict[str, str]:
    return {"QMAIL_DIR": str(server.directory), "BUS_URL": server.url}


@asynccontextmanager
async def connected(server: BusServer, role: str) -> AsyncIterator[JetStreamBus]:
    bus = await connect(role, read_paths(environ(server)), environ(server))
    try:
        yield bus
    finally:
        await bus.close()


def test_stat_sees_who_is_connected_and_how_full_the_streams_are(server: BusServer) -> None:
    async def look() -> BusState:
        async with connected(server, "queue"), connected(server, "imap"):
            return await read_bus_state(read_paths(environ(server)), environ(server))

    state = asyncio.run(look())
    assert {"queue", "imap"} <= set(hearing(state.connections))
    assert {stream.name for stream in state.streams} == set(read_definitions()["stream"])
    assert all(stream.max_bytes > stream.bytes >= 0 for stream in state.streams)


def test_every_process_of_a_role_answers_stat_with_what_stands(server: BusServer) -> None:
    notices = Notices(lambda line: None)
    notices.stands("tls", "the certificate ends tomorrow")

    async def look() -> Presences:
        paths, known = read_paths(environ(server)), environ(server)
        async with connected(server, "queue"), connected(server, "imap"), connected(server, "admin") as admin:
            imap = await connect("imap", paths, known, notices)
            state = await read_bus_state(paths, known)
            presences = await ask_presences(admin, hearing(state.connections), WAIT_SECONDS)
            await imap.close()
        return presences

    presences = asyncio.run(look())
    assert sorted(each.role for each in presences.present) == ["admin", "imap", "imap", "queue"]
    assert not presences.silent
    # The age is that of the process, and the connections are younger.
    assert {each.pid for each in presences.present} == {os.getpid()}
    assert all(each.seconds > 0.1 for each in presences.present)
    assert [s.text for each in presences.present for s in each.standing] == ["the certificate ends tomorrow"]


def test_a_process_that_does_not_answer_stat_is_told_of(server: BusServer) -> None:
    async def look() -> Presences:
        async with connected(server, "queue"), connected(server, "admin") as admin:
            return await ask_presences(admin, Counter({"queue": 1, "admin": 1, "imap": 1}), limit_seconds=1)

    presences = asyncio.run(look())
    assert presences.silent == {"imap": 1}
    assert presences.is_up("queue") and not presences.is_up("imap")


def test_the_user_of_stat_sees_no_mail(server: BusServer) -> None:
    async def look() -> None:
        async with connected(server, "stat") as bus:
            await bus.info("IN")

    with pytest.raises((BusDown, KeyError)):
        asyncio.run(look())


def qmailctl(directory: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "qmailctl"), *arguments]
    known = {name: value for name, value in os.environ.items() if name not in ("BUS_URL", "IDENTITY")}
    # A port where nobody listens, in place of a host name that this machine's name server would be asked for.
    known["QUEUE_URL"] = f"http://127.0.0.1:{free_port()}"
    return subprocess.run(
        command,
        env={**known, "QMAIL_DIR": str(directory)},
        input=text,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


FIRST_START = "import os; from services.admin.setup.first_start import first_start; first_start(os.environ)"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("accounts") / "var"
    known = {name: value for name, value in os.environ.items() if name != "IDENTITY"}
    subprocess.run(
        [sys.executable, "-c", FIRST_START],
        env={**known, "QMAIL_DIR": str(made)},
        cwd=ROOT,
        check=True,
        timeout=180,
    )
    return made


def test_accounts_by_one_command(directory: Path) -> None:
    made = qmailctl(directory, "useradd", "joni", text="secret\n")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"joni: uid 2002, home {directory}/home/joni, mail address joni@xeris.com\n"
    again = qmailctl(directory, "useradd", "joni", text="secret\n")
    assert again.returncode == 1 and "exists already" in again.stderr
    assert qmailctl(directory, "users").stdout.splitlines()[1].startswith("joni:2002:")
    assert qmailctl(directory, "passwd", "joni", text="other\n").returncode == 0
    assert qmailctl(directory, "userdel", "-r", "joni").returncode == 0
    assert qmailctl(directory, "users").stdout.splitlines() == [f"ari:2001:{directory}/home/ari"]


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["useradd"], ["useradd", "a", "b"], ["stat", "x"], ["usermod", "joni"], ["userdel", "-x", "joni"]],
)
def test_what_is_no_command_gets_the_usage_and_exit_code_1(directory: Path, arguments: list[str]) -> None:
    found = qmailctl(directory, *arguments)
    assert found.returncode == 1
    assert found.stderr.startswith("Usage: qmailctl\n{start|stop|restart|doqueue|flush|reload|stat|pause|cont|cdb")


def test_help_has_every_command_of_the_tutorial(directory: Path) -> None:
    text = qmailctl(directory, "help").stdout
    for name in "stop start pause cont stat cdb restart doqueue reload queue alrm flush hup".split():
        assert f"    {name} -- " in text


def test_a_queue_that_does_not_answer_is_told_and_may_be_tried_again(directory: Path) -> None:
    found = qmailctl(directory, "flush")
    assert found.returncode == 111
    assert found.stderr.startswith("qmailctl: queue at http://") and found.stderr.endswith("try again\n")


def test_cdb_names_the_bad_rule(directory: Path) -> None:
    rules = directory / "control" / "tcp.smtp"
    good = rules.read_text()
    assert qmailctl(directory, "cdb").stdout == f"Reloaded {rules}.\n"
    rules.write_text(good + "10.:permit\n")
    found = qmailctl(directory, "cdb")
    rules.write_text(good)
    assert found.returncode == 111
    assert found.stderr == (
        "tcprules: fatal: unable to parse this line: 10.:permit\n"
        f"qmailctl: {rules}: line 3: 'permit'; expected allow or deny after the colon\n"
    )
