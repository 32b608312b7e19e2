"""Root's commands, typed in a directory that somebody else has filled with Python files, run none of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.admin.commands.bin import PROGRAMS
from services.admin.commands.qmailctl import COMMANDS
from tests.support.mail_run import MailRun, mail_run
from tests.support.source import ROOT

# What is imported early, late, from the library, from a package, by the interpreter itself.
NAMES = (
    "argon2", "asyncio", "email", "json", "nats", "qmail", "services", "sitecustomize", "socket", "ssl", "supervise",
    "tomllib", "usercustomize", "uvloop",
)  # fmt: skip
ARGUMENTS = {
    "domain": ["add", "hostile.xeris.com"],
    "init": ["mail.xeris.com"],
    "routepasswd": ["relay.example", "toko"],
    "useradd": ["budi"],
    "userdel": ["budi"],
    "passwd": ["ari"],
    "usermod": ["-U", "ari"],
    "su": ["-c", "true"],
    "rescue": ["1"],
}
# There is no loss to rescue anything of.
RETURNS = {"rescue": 1}
# The script's own, with which nothing is started that runs already.
OF_THE_SCRIPT: dict[str, list[str]] = {"start": [], "logs": [], "help": []}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a file of each name, which says that it was run."""
    directory = tmp_path_factory.mktemp("hostile")
    for name in NAMES:
        (directory / f"{name}.py").write_text(f"open({str(directory / 'ran')!r}, 'a').write({name!r})\n")
    return directory


@pytest.fixture(scope="module")
def run(hostile: Path) -> Iterator[MailRun]:
    """A deployment that was started there: `./qmailctl start` with nothing of it in the environment's way."""
    with mail_run() as deployment:
        # As somebody's shell has it who works with Python.
        deployment.run.environ |= {"PYTHONPATH": "", "PYTHONSTARTUP": str(hostile / "json.py")}
        deployment.start()
        yield deployment


def typed(run: MailRun, hostile: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=hostile, env=run.run.environ, input="hostile-1\n", capture_output=True, text=True, timeout=180
    )


def test_the_directory_would_be_obeyed(hostile: Path) -> None:
    subprocess.run([sys.executable, "-m", "json"], cwd=hostile, capture_output=True, timeout=60)
    assert (hostile / "ran").exists()
    (hostile / "ran").unlink()


# Without those that end the deployment which the others need.
@pytest.mark.parametrize("command", sorted({*COMMANDS, *OF_THE_SCRIPT} - {"stop", "restart"}))
def test_no_command_runs_a_file_of_the_current_directory(run: MailRun, hostile: Path, command: str) -> None:
    done = typed(run, hostile, str(ROOT / "qmailctl"), command, *ARGUMENTS.get(command, []))
    assert not (hostile / "ran").exists(), (hostile / "ran").read_text()
    assert "Traceback" not in done.stderr
    assert done.returncode == RETURNS.get(command, 0), done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_of_bin_does_either(run: MailRun, hostile: Path, program: str) -> None:
    # As the wrapper of the image starts it (services/admin/wrapper.sh).
    (line,) = [line for line in (ROOT / "services/admin/wrapper.sh").read_text().splitlines() if "exec" in line]
    command = line.replace("/opt/qmail", str(ROOT)).replace("/opt/venv/bin/python", sys.executable)
    typed(run, hostile, "sh", "-c", command, "sh", "services.admin.commands.bin", program)
    assert not (hostile / "ran").exists()


def test_every_process_of_the_deployment_has_a_safe_path_and_no_stranger_s_settings(run: MailRun) -> None:
    for program, pid in run.run.roles().items():
        if program == "nats-server":
            continue
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert {b"-P", b"-s"} <= set(words), program
        known = dict(each.split(b"=", 1) for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if each)
        assert known[b"PYTHONSAFEPATH"] == b"1" and b"PYTHONSTARTUP" not in known and b"HOME" not in known, program
        assert all(place.startswith(b"/") for place in known[b"PATH"].split(b":")), program
