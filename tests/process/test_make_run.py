"""The deployment without containers: ready when all answer, mended when one dies, gone when it is told to go."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.admin.rights import read_rights
from tests.support.deployment import eventually
from tests.support.make_run import MakeRun
from tests.support.needs import need
from tests.support.ports import free_ports
from tests.support.source import ROOT

RIGHTS = read_rights()
PROGRAMS = {role.program: role for role in RIGHTS.roles.values() if role.program}
ROOT_ONLY = pytest.mark.root(reason="only root gives out identities")


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every role's uid may enter; pytest's own are closed to all but their owner."""
    directory = Path(tempfile.mkdtemp(prefix="qmail-run-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def run(open_path: Path) -> Iterator[MakeRun]:
    deployment = MakeRun(open_path / "var")
    deployment.start()
    yield deployment
    assert deployment.process is not None
    if deployment.process.poll() is None:
        deployment.stop()


def wait_until_gone(pids: list[int], seconds: float = 90.0) -> list[int]:
    """Those that still run after the time."""
    left = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], seconds)[0]:
                left.append(pid)
        finally:
            os.close(fd)
    return left


def descendants(pid: int) -> list[int]:
    """All processes below one, but for those that end meanwhile."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            # One that has ended has no children any more; the other threads may.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in (task / "children").read_text().split():
                    found += [int(child), *descendants(int(child))]
    return found


def status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].split()[0] for line in lines if line.startswith(f"{field}:"))


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        return client.recv(1000)


def test_a_deployment_is_ready_delivers_is_mended_and_ends_without_orphans(run: MakeRun) -> None:
    assert run.process is not None
    roles = run.roles()
    assert set(roles) == {*PROGRAMS, "nats-server"}
    assert greeting(run.ports["POP3_PORT"]).startswith(b"+OK")
    with smtplib.SMTP("127.0.0.1", run.ports["SMTP_PORT"], timeout=60) as client:
        client.sendmail("joe@example.org", ["ari@xeris.com"], "Subject: hello\r\n\r\nhello\r\n")
    assert run.wait_for_line(rb"delivery 1: success: .*", 90)

    os.kill(roles["services.pop3"], signal.SIGKILL)
    assert wait_until_gone([roles["services.pop3"]]) == []
    again = MakeRunProbe(run)
    assert again.pop3_answers(), "a role that died is started again"
    assert run.roles()["services.pop3"] != roles["services.pop3"]

    pids = descendants(run.process.pid)
    assert run.stop() == 0
    assert wait_until_gone(pids) == []
    assert len(list((run.directory / "home" / "ari" / "Maildir" / "new").iterdir())) == 1
    assert "success" in (run.directory / "log" / "qmail" / "current").read_text()


def test_the_documented_handler_filters_in_a_deployment(open_path: Path) -> None:
    """From a package of its own, beside the control file that names it."""
    page = (ROOT / "docs" / "smtpd-handler.md").read_text(encoding="utf-8")
    source = page.partition("```python\n")[2].partition("```")[0]
    package = open_path / "var" / "plugins" / "acme"
    package.mkdir(parents=True)
    (package / "filter.py").write_text(source)
    (open_path / "var" / "control").mkdir()
    (open_path / "var" / "control" / "smtpdhandler").write_text("acme.filter:Filter\n")
    deployment = MakeRun(open_path / "var")
    try:
        deployment.start()
        with smtplib.SMTP("127.0.0.1", deployment.ports["SMTP_PORT"], timeout=60) as client:
            with pytest.raises(smtplib.SMTPSenderRefused, match="we know you"):
                client.sendmail("a@spam.example", ["postmaster@xeris.com"], "Subject: x\n\nx\n")
            with pytest.raises(smtplib.SMTPDataError, match="no lotteries here"):
                client.sendmail("a@far.org", ["postmaster@xeris.com"], "Subject: lottery\n\nx\n")
            assert client.sendmail("a@far.org", ["postmaster@xeris.com"], "Subject: news\n\nx\n") == {}
    finally:
        deployment.stop()


def test_make_starts_it_and_ends_it_with_itself(open_path: Path) -> None:
    deployment = MakeRun(open_path / "var")
    # With the packages of this very test run: none are fetched.
    deployment._argv = (need("make"), f"--old-file={sys.prefix}/ready", f"VENV={sys.prefix}", "run")
    deployment.start()
    try:
        assert deployment.process is not None
        assert greeting(deployment.ports["SMTP_PORT"]) == b"220 mail.xeris.com ESMTP\r\n"
        pids = descendants(deployment.process.pid)
        assert len(pids) > len(PROGRAMS)
    finally:
        deployment.stop()
    assert wait_until_gone(pids) == []


class MakeRunProbe:
    """Asks again until a role that is being started answers; the kernel refuses until it listens."""

    def __init__(self, run: MakeRun) -> None:
        self._run = run

    def pop3_answers(self) -> bool:
        # The supervisor says on its error output when it starts a role again; the door listens soon after.
        for _ in range(900):
            try:
                return greeting(self._run.ports["POP3_PORT"]).startswith(b"+OK")
            except OSError:
                assert self._run.process is not None
                self._wait_a_moment(self._run.process)
        return False

    @staticmethod
    def _wait_a_moment(process: subprocess.Popen[bytes]) -> None:
        """For the end of the supervisor, which would be a failure of its own."""
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError("the supervisor ended")


@ROOT_ONLY
def test_a_home_that_only_root_may_enter_is_no_obstacle(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode=0o700)
    deployment = MakeRun(closed / "var")
    deployment.start()
    deployment.drain()
    try:
        with smtplib.SMTP("127.0.0.1", deployment.ports["SMTP_PORT"], timeout=60) as client:
            client.sendmail("joe@example.net", ["ari@xeris.com"], "Subject: home\n\nhello\n")
        inbox = closed / "var/home/ari/Maildir/new"
        (message,) = eventually(lambda: list(inbox.glob("*")), "the message, seen from outside")
        assert message.stat().st_uid == 2001
        su = [sys.executable, "-m", "services.admin.commands.qmailctl", "su", "ari", "-c", "id -u; pwd"]
        said = subprocess.run(su, env=deployment.environ, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert said == f"2001\n{closed}/var/home/ari\n"
        assert str(closed) not in Path("/proc/mounts").read_text()
    finally:
        assert deployment.stop() == 0


def test_a_copy_of_a_directory_delivers_into_its_own_homes(run: MakeRun) -> None:
    assert run.stop() == 0
    copy = MakeRun(run.directory.parent / "copy")
    subprocess.run(["cp", "-a", str(run.directory), str(copy.directory)], check=True)
    before = sorted(str(path) for path in (run.directory / "home").rglob("*"))
    copy.start()
    try:
        with smtplib.SMTP("127.0.0.1", copy.ports["SMTP_PORT"], timeout=60) as client:
            client.sendmail("joe@example.org", ["ari@xeris.com"], "Subject: hello\r\n\r\nhello\r\n")
        assert copy.wait_for_line(rb"delivery 1: success: .*", 90), copy.log.read_text()[-3000:]
    finally:
        copy.stop()
    assert len(list((copy.directory / "home" / "ari" / "Maildir" / "new").iterdir())) == 1
    assert sorted(str(path) for path in (run.directory / "home").rglob("*")) == before
    assert "had the accounts' homes in" in copy.log.read_text()


@ROOT_ONLY
def test_each_role_has_its_own_uid_and_only_its_capabilities(run: MakeRun) -> None:
    numbers = {"SETGID": 6, "SETUID": 7, "KILL": 5}
    for program, pid in run.roles().items():
        role = PROGRAMS.get(program, RIGHTS.roles["bus"])
        if role.name == "admin":
            continue
        assert (status(pid, "Uid"), status(pid, "Gid")) == (str(role.uid), str(role.gid)), role.name
        kept = sum(1 << numbers[name] for name in role.capabilities)
        for field in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            assert int(status(pid, field), 16) == kept, f"{role.name} {field}"
        assert status(pid, "NoNewPrivs") == "1", role.name


def test_a_killed_supervisor_leaves_no_orphans(run: MakeRun) -> None:
    assert run.process is not None
    pids = descendants(run.process.pid)
    run.process.kill()
    assert wait_until_gone(pids) == []


def test_a_directory_runs_once(run: MakeRun) -> None:
    other = MakeRun(run.directory)
    found = subprocess.run(other._argv, env=other.environ, capture_output=True, text=True, timeout=180, check=False)
    assert found.returncode == 78
    assert "running already" in found.stderr


def refused(tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    deployment = MakeRun(tmp_path / "var", (), **environ)
    return subprocess.run(
        deployment._argv, env=deployment.environ, capture_output=True, text=True, timeout=180, check=False
    )


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = refused(tmp_path, SMTP_PORT=str(port))
    assert found.returncode == 78
    assert f"SMTP_PORT is {port}" in found.stderr and "expected a free port" in found.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("SMTP_PORT", "smtp"), ("IMAP_PORT", "70000"), ("IDENTITY", "root"), ("ME", "mail"), ("ADDRESS", "mail")],
)
def test_a_bad_setting_is_told(tmp_path: Path, name: str, value: str) -> None:
    found = refused(tmp_path, **{name: value})
    assert found.returncode == 78
    assert f"{name} is '{value}'" in found.stderr and "expected" in found.stderr


@ROOT_ONLY
def test_uid_0_is_refused_as_the_single_identity(tmp_path: Path) -> None:
    found = refused(tmp_path, IDENTITY="single")
    assert found.returncode == 78 and "expected per-user" in found.stderr


@ROOT_ONLY
def test_an_ordinary_user_runs_all_as_itself(open_path: Path) -> None:
    home = open_path / "user"
    home.mkdir()
    os.chown(home, 12345, 12345)
    deployment = MakeRun(
        home / "var", ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--bounding-set=-all")
    )
    deployment.start()
    try:
        assert {status(pid, "Uid") for pid in deployment.roles().values()} == {"12345"}
        assert "IDENTITY=single" in deployment.log.read_text()
        with smtplib.SMTP("127.0.0.1", deployment.ports["SMTP_PORT"], timeout=60) as client:
            client.sendmail("joe@example.org", ["ari@xeris.com"], "Subject: hello\r\n\r\nhello\r\n")
        assert deployment.wait_for_line(rb"delivery 1: success: .*", 90), deployment.log.read_text()[-3000:]
    finally:
        assert deployment.stop() == 0
    assert len(list((home / "var" / "home" / "ari" / "Maildir" / "new").iterdir())) == 1


def test_the_first_start_takes_other_ports_where_one_is_taken_and_no_later_one(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = iter([[taken.getsockname()[1], *free_ports(4)], free_ports(5)])
        monkeypatch.setattr("tests.support.make_run.free_ports", lambda count: next(given))
        deployment = MakeRun(open_path / "var")
        deployment.start()
        deployment.stop()
    with socket.create_server(("127.0.0.1", deployment.ports["SMTP_PORT"])):
        with pytest.raises(RuntimeError, match="expected a free port"):
            deployment.start()
