"""Full queue, full disk: 452, a deferral; nothing that was answered 250 is lost, and it goes on when there is room."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, fill, mail_run, small_disk
from tests.support.needs import missing
from tests.support.talk import Talk

QUEUE_BYTES = 8 * 1024 * 1024
ENOUGH = 400


@pytest.fixture(scope="module")
def right_to_mount(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A small file system needs it; uid 0 alone may not be enough."""
    try:
        with small_disk(tmp_path_factory.mktemp("mount"), "1m"):
            return
    except subprocess.CalledProcessError as error:
        missing(f"the right to mount: {error.stderr.decode(errors='replace').strip()}")


NEEDS_MOUNT = pytest.mark.usefixtures("right_to_mount")


@contextmanager
def started(deployment: MailRun) -> Iterator[MailRun]:
    """Ended before its disk is taken away."""
    deployment.start()
    try:
        yield deployment
    finally:
        deployment.run.stop()


def send_until_refused(deployment: MailRun, size_bytes: int) -> tuple[list[int], int]:
    """The numbers answered 250, and the first other code."""
    accepted: list[int] = []
    for number in range(ENOUGH):
        code = deployment.send(number, size_bytes=size_bytes)
        if code != 250:
            return accepted, code
        accepted.append(number)
    raise AssertionError(f"{ENOUGH} messages of {size_bytes} bytes fit")


@contextmanager
def nothing_delivered(deployment: MailRun, how: str) -> Iterator[None]:
    """By qmailctl, or by a role that hangs."""
    if how == "paused":
        assert deployment.qmailctl("pause").returncode == 0
        yield
        assert deployment.qmailctl("cont").returncode == 0
        return
    deployment.signal("services.delivery.local", signal.SIGSTOP)
    try:
        yield
    finally:
        deployment.signal("services.delivery.local", signal.SIGCONT)


@pytest.mark.parametrize("how", ["paused", "delivery hangs"])
def test_a_full_queue_is_a_452_and_drains_when_delivery_goes_on(how: str) -> None:
    with mail_run(QUEUE_BYTES=str(QUEUE_BYTES)) as deployment:
        deployment.start()
        with nothing_delivered(deployment, how):
            accepted, code = send_until_refused(deployment, 400_000)
            assert code == 452
            assert len(accepted) > 3

            def small_refused() -> bool:
                number = len(accepted)
                code = deployment.send(number)
                if code == 250:
                    accepted.append(number)
                return code == 452

            eventually(small_refused, "room is kept for what must drain, so that a small one is refused too")
        eventually(lambda: deployment.send(ENOUGH) == 250, "mail is taken again")
        deployment.drained()
        assert deployment.numbers("ari") == [*accepted, ENOUGH]


@NEEDS_MOUNT
def test_a_full_disk_of_the_bus_is_a_452_and_mends_itself() -> None:
    with mail_run(QUEUE_BYTES=str(QUEUE_BYTES)) as deployment:
        with small_disk(deployment.directory / "bus", "48m") as disk, started(deployment):
            assert deployment.qmailctl("pause").returncode == 0
            accepted = [number for number in range(5) if deployment.send(number) == 250]
            assert len(accepted) == 5
            filler = fill(disk)
            codes = [deployment.send(100 + number, size_bytes=8000) for number in range(4)]
            assert set(codes) == {452}
            filler.unlink()
            codes = []

            def taken_again() -> bool:
                codes.append(deployment.send(200))
                return codes[-1] == 250

            eventually(taken_again, "mail is taken again")
            assert set(codes[:-1]) <= {451, 452, 0}
            assert deployment.qmailctl("cont").returncode == 0
            deployment.drained()
            assert deployment.numbers("ari") == [*accepted, 200]


@NEEDS_MOUNT
def test_a_full_disk_of_the_homes_defers_and_leaves_nothing_half_stored() -> None:
    with mail_run() as deployment, small_disk(deployment.directory / "home", "4m") as disk, started(deployment):
        filler = fill(disk)
        accepted = [number for number in range(3) if deployment.send(number, size_bytes=20_000) == 250]
        assert len(accepted) == 3, "the queue has room"
        for number in range(1, 4):
            deployment.logged(f"delivery {number}: deferral: Out_of_disk_space_on_maildir_delivery._(#4.3.1)/")
        maildir = deployment.maildir("ari")
        assert [path for folder in ("new", "cur", "tmp") for path in (maildir / folder).iterdir()] == []
        found = eventually(lambda: deployment.status() or None, "the queue's state")
        assert found["messages"] == 3
        filler.unlink()
        assert deployment.qmailctl("flush").returncode == 0
        deployment.drained()
        assert deployment.numbers("ari") == accepted
        assert all(len(text) > 19_000 for text in deployment.messages("ari"))
        assert list(Path(maildir / "tmp").iterdir()) == []


@NEEDS_MOUNT
def test_on_a_full_disk_mail_can_be_read_and_deleted_by_whoever_opens_it_for_the_first_time() -> None:
    with mail_run() as deployment, small_disk(deployment.directory / "home", "4m") as disk, started(deployment):
        deployment.useradd("joni")
        for number in range(4):
            assert deployment.send(number, "joni@xeris.com", size_bytes=20_000) == 250
        deployment.drained()
        fill(disk)
        delete_by_imap(deployment, 2)
        fill(disk)
        delete_by_pop3(deployment, 1)
        fill(disk)
        # What is left has no list of numbers yet: it is shown under numbers that pass, and says so.
        lines = open_folder(deployment)
        assert b"* 1 EXISTS\r\n" in lines and b"* NO [UIDNOTSTICKY]" in lines


def open_folder(deployment: MailRun) -> bytes:
    """The answer to SELECT."""
    with Talk(deployment.run.ports["IMAP_PORT"]) as session:
        assert b"a OK" in session.imap(b"LOGIN joni jonipass")
        return session.imap(b"SELECT INBOX")


def delete_by_imap(deployment: MailRun, count: int) -> None:
    """Open the INBOX, read the first messages, delete them."""
    with Talk(deployment.run.ports["IMAP_PORT"]) as session:
        assert b"a OK" in session.imap(b"LOGIN joni jonipass")
        opened = session.imap(b"SELECT INBOX")
        assert b"* 4 EXISTS\r\n" in opened and b"a OK [READ-WRITE]" in opened
        for number in range(1, count + 1):
            assert b"X-Number" in session.imap(b"FETCH %d BODY[]" % number)
            assert b"a OK" in session.imap(rb"STORE %d +FLAGS (\Deleted)" % number)
        assert session.imap(b"EXPUNGE").count(b"EXPUNGE\r\n") == count
        assert b"a OK" in session.imap(b"LOGOUT")


def delete_by_pop3(deployment: MailRun, count: int) -> None:
    with Talk(deployment.run.ports["POP3_PORT"]) as session:
        session.pop3(b"USER joni")
        assert session.pop3(b"PASS jonipass").startswith(b"+OK")
        for number in range(1, count + 1):
            assert session.pop3(b"DELE %d" % number).startswith(b"+OK")
        assert session.pop3(b"QUIT").startswith(b"+OK")
