"""The health check of the bus's container: when it only says that the server is ill, and when it ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source import ROOT

WELL = "HTTP/1.0 200 OK\r\n\r\n"
READING = 'HTTP/1.0 503 Service Unavailable\r\n\r\n{"error":"JetStream is not current"}'
FROZEN = 'HTTP/1.0 503 Service Unavailable\r\n\r\n{"error":"stream \'$G > IN\' write error: no space left on device"}'
SILENT = ""
KILL_SECONDS = 10


class Container:
    """The script with another server, whose answer is given, and a clock that can be put back."""

    def __init__(self, directory: Path) -> None:
        self.marks = directory
        self.server = subprocess.Popen(["sleep", "1000"])
        self._answer, self._room = directory / "answer", directory / "room"
        self.leave_room(99_999_999)
        programs = {
            "nc": f'cat >/dev/null; cat "{self._answer}"',
            "pidof": f"echo {self.server.pid}",
            "df": f'echo header; echo disk 0 0 "$(cat "{self._room}")"',
        }
        for name, line in programs.items():
            (directory / name).write_text(f"#!/bin/sh\n{line}\n")
            (directory / name).chmod(0o755)

    def check(self, answer: str) -> int:
        """Exit code of one health check."""
        self._answer.write_text(answer)
        environ = {**os.environ, "PATH": f"{self.marks}:{os.environ['PATH']}", "MARKS": str(self.marks)}
        return subprocess.run(["sh", str(ROOT / "services/bus/health.sh")], env=environ, timeout=30).returncode

    def leave_room(self, kilobytes: int) -> None:
        """What the disk has left."""
        self._room.write_text(str(kilobytes))

    def pass_time(self, seconds: int) -> None:
        """As if what began had begun so much earlier."""
        mark = self.marks / "ill"
        mark.write_text(f"{int(mark.read_text()) - seconds}\n")

    @property
    def lives(self) -> bool:
        """Whether no signal has ended the server so far."""
        return self.server.poll() is None

    def is_killed(self) -> bool:
        """Whether the server ends of the right signal."""
        return self.server.wait(KILL_SECONDS) == -signal.SIGKILL


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path)
    yield made
    made.server.kill()
    made.server.wait()


def test_a_server_that_is_well_is_left_alone(container: Container) -> None:
    assert container.check(WELL) == 0
    assert container.lives


@pytest.mark.parametrize("answer", [SILENT, READING])
def test_one_that_was_well_and_is_so_no_more_has_a_minute(container: Container, answer: str) -> None:
    assert container.check(WELL) == 0
    assert container.check(answer) == 1
    container.pass_time(55)
    assert container.check(answer) == 1 and container.lives
    container.pass_time(5)
    assert container.check(answer) == 1 and container.is_killed()


def test_being_well_again_begins_anew(container: Container) -> None:
    assert (container.check(WELL), container.check(SILENT)) == (0, 1)
    container.pass_time(100)
    assert (container.check(WELL), container.check(SILENT)) == (0, 1)
    assert container.lives


def test_one_that_is_reading_its_streams_may_take_its_time(container: Container) -> None:
    assert container.check(READING) == 1
    container.pass_time(1000)
    assert container.check(READING) == 1
    assert container.lives


def test_one_that_cannot_write_goes_as_soon_as_there_is_room(container: Container) -> None:
    container.leave_room(16_000)
    assert container.check(FROZEN) == 1 and container.lives
    container.leave_room(17_000)
    assert container.check(FROZEN) == 1 and container.is_killed()


def test_one_stream_that_could_not_be_opened_is_no_illness(container: Container) -> None:
    missing = 'HTTP/1.0 503 Service Unavailable\r\n\r\n{"error":"JetStream stream \'$G > IN\' could not be recovered"}'
    assert container.check(missing) == 0
    assert container.check(missing) == 0
    assert container.lives
