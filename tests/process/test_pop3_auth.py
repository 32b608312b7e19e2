"""pop3 (two processes) and auth as processes on a real bus with their own rights; poplib as the client."""

from __future__ import annotations

import os
import poplib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmail.role.health import FILE
from services.admin.accounts.passwords import hash_password
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
CERTIFICATES = ROOT / "tests/unit/door/certificates"
AS_ROOT = os.geteuid() == 0
UID = 2001 if AS_ROOT else os.geteuid()
GID = 2001 if AS_ROOT else os.getegid()


class Roles:
    """A deployment's directory with its bus, auth and pop3."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.bus = BusServer(root)
        self.environ: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.maildir = root / "home/ari/Maildir"

    def prepare(self) -> None:
        for folder in (
            "control",
            "users",
            "auth",
            "home/ari/Maildir/new",
            "home/ari/Maildir/cur",
            "home/ari/Maildir/tmp",
        ):
            (self.root / folder).mkdir(parents=True)
        shutil.copytree(CERTIFICATES, self.root / "tls")
        (self.root / "control/me").write_text("mail.xeris.com\n")
        (self.root / "auth/passwd").write_text(f"ari:{hash_password('aripass')}\n")
        (self.root / "users/assign").write_text(f"=ari:ari:{UID}:{GID}:{self.root}/home/ari:::\n.\n")
        path = self.maildir / "new/1.a"
        path.write_bytes(b"Subject: Tes\n\nNgetes aaah ....\n")
        if AS_ROOT:
            for path in [self.root / "home/ari", *(self.root / "home/ari").rglob("*")]:
                os.chown(path, UID, GID)
        self.bus.start()
        self.environ = {
            **os.environ,
            "QMAIL_DIR": str(self.root),
            "BUS_URL": self.bus.url,
            "IDENTITY": "per-user" if AS_ROOT else "single",
            "POP3_LISTEN": f"127.0.0.1:{self.port}",
            "PROCESSES": "2",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, role: str) -> None:
        command = [sys.executable, "-m", f"services.{role}"]
        run = self.root / "run" / role
        run.mkdir(parents=True)
        environ = {**self.environ, "RUN_DIR": str(run)}
        self.processes[role] = subprocess.Popen(command, env=environ, cwd=self.root)
        eventually(lambda: (run / FILE).exists() or self.processes[role].poll() is not None, f"{role} is healthy")
        assert self.processes[role].poll() is None, f"{role} ended"

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.bus.stop()


@pytest.fixture
def roles() -> Iterator[Roles]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        made = Roles(Path(directory))
        made.prepare()
        try:
            yield made
        finally:
            made.stop()


def test_mail_is_read_with_a_password_asked_over_the_bus(roles: Roles) -> None:
    roles.start("auth")
    roles.start("pop3")
    for _ in range(6):  # both processes get some
        client = poplib.POP3("127.0.0.1", roles.port, timeout=90)
        client.user("ari")
        client.pass_("aripass")
        assert client.retr(1)[1] == [b"Subject: Tes", b"", b"Ngetes aaah ...."]
        client.close()
    roles.processes["auth"].send_signal(signal.SIGTERM)
    assert roles.processes["auth"].wait(90) == 0
    client = poplib.POP3("127.0.0.1", roles.port, timeout=90)
    client.user("ari")
    with pytest.raises(poplib.error_proto, match="SYS/TEMP"):
        client.pass_("aripass")
    roles.processes["pop3"].send_signal(signal.SIGTERM)
    assert roles.processes["pop3"].wait(90) == 0
    with pytest.raises(ConnectionRefusedError):
        poplib.POP3("127.0.0.1", roles.port, timeout=90)


@pytest.mark.parametrize(
    ("role", "name", "text"), [("pop3", "POP3_LISTEN", "110"), ("pop3", "PROCESSES", "many"), ("auth", "", "")]
)
def test_a_wrong_configuration_is_refused_at_start(roles: Roles, role: str, name: str, text: str) -> None:
    if name:
        roles.environ[name] = text
    else:
        (roles.root / "control/authmodulelist").write_text("mysql\n")
    command = [sys.executable, "-m", f"services.{role}"]
    done = subprocess.run(command, env=roles.environ, capture_output=True, check=False, timeout=90)
    assert done.returncode == 78
    assert b"expected" in done.stderr and b"Traceback" not in done.stderr
