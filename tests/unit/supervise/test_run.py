"""`make run` before anything is started: settings, commands, the bus's configuration, pauses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.admin.rights import read_rights
from supervise.bus_config import STATIC, render_config
from supervise.child import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, next_pause, with_identity
from supervise.programs import ORDER, role_programs
from supervise.settings import read_settings
from tests.support.source import ROOT

RIGHTS = read_rights()


def test_the_defaults_are_those_of_the_readme() -> None:
    settings = read_settings({}, euid=1000)
    assert settings.directory == Path.cwd() / "var"
    assert dict(settings.ports) == {
        "SMTP_PORT": 2525, "SUBMISSION_PORT": 2587, "POP3_PORT": 2110, "IMAP_PORT": 2143, "HTTP_PORT": 2180,
    }  # fmt: skip
    assert settings.identity == "single"
    assert read_settings({}, euid=0).identity == "per-user"


@pytest.mark.parametrize(
    ("environ", "euid"),
    [
        ({"IDENTITY": "single"}, 0),
        ({"IDENTITY": "per-user"}, 1000),
        ({"SMTP_PORT": "0"}, 1000),
        ({"SMTP_PORT": "65536"}, 1000),
        ({"SMTP_PORT": "-1"}, 1000),
        ({"SMTP_PORT": "2110"}, 1000),
    ],
)
def test_settings_that_cannot_work_are_refused(environ: dict[str, str], euid: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_settings(environ, euid)


def test_its_lines_are_written_whole_though_python_is_told_not_to_buffer() -> None:
    """Else a role, which writes to the same pipe, gets between a line and its end: `readydelivery 11: success`."""
    reading, writing = os.pipe2(os.O_DIRECT)  # each write is read alone (pipe(2))
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "SMTP_PORT": "0"}
    argv = (sys.executable, "-m", "supervise")
    assert subprocess.run(argv, cwd=ROOT, env=environ, stderr=writing, timeout=60).returncode == 78
    os.close(writing)
    said = os.read(reading, 65536)
    os.close(reading)
    assert said.startswith(b"run: ") and said.endswith(b"\n"), said


def test_every_role_listens_on_loopback_and_ends_in_its_turn() -> None:
    settings = read_settings({}, euid=1000)
    programs = role_programs(RIGHTS, settings, {}, 4222, "/usr/bin/python3")
    names = [name for group in ORDER for name in group]
    assert sorted(names) == sorted([program.name for program in programs] + ["bus"])
    for program in programs:
        listening = [value for name, value in program.environ.items() if name.endswith("_LISTEN")]
        assert len(listening) == 5 and all(value.startswith("127.0.0.1:") for value in listening)


def test_a_role_has_a_run_directory_of_its_own() -> None:
    programs = role_programs(RIGHTS, read_settings({}, euid=1000), {}, 4222, "python3")
    places = [program.environ["RUN_DIR"] for program in programs if program.name != "admin"]
    assert len(set(places)) == len(places)


def test_a_role_keeps_its_capabilities_and_no_other() -> None:
    command = with_identity(RIGHTS.roles["delivery-local"], ("python", "-m", "x"))
    assert command[0] == "setpriv" and command[-4:] == ("--", "python", "-m", "x")
    assert {"--reuid=903", "--regid=903", "--clear-groups", "--no-new-privs"} <= set(command)
    for which in ("inh-caps", "ambient-caps", "bounding-set"):
        assert f"--{which}=-all,+kill,+setgid,+setuid" in command


def test_pauses_double_and_begin_anew_after_a_steady_run() -> None:
    pause, pauses = 0.0, []
    for _ in range(10):
        pause = next_pause(pause, ran_seconds=0.1)
        pauses.append(pause)
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert next_pause(LONGEST_PAUSE_SECONDS, ran_seconds=3600) == FIRST_PAUSE_SECONDS


def test_the_bus_s_configuration_differs_only_in_its_places() -> None:
    static = STATIC.read_text()
    text = render_config(static, listen="127.0.0.1:1", monitor="127.0.0.1:2", store=Path("/q/bus"), users="x.conf")
    changed = [(a, b) for a, b in zip(static.splitlines(), text.splitlines(), strict=True) if a != b]
    assert len(changed) == 4
    assert "sync_interval: always" in text


def test_a_configuration_without_those_places_is_noticed() -> None:
    with pytest.raises(ValueError, match="exactly once"):
        render_config("listen: 1", listen="a", monitor="b", store=Path("/q"), users="c")
