"""Several processes of one door: as many as asked for, replaced when killed, ended together, never left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmail.door.processes import parse_processes

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, signal, sys
from qmail.door import processes
processes.RESTART_SECONDS = 0.01

def main():
    # Waited for, not handled: a handler may run just before the child goes to sleep for ever.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.write(1, b"%d\\n" % os.getpid())
    if os.environ.get("FAIL"):
        return 7
    signal.sigwait({signal.SIGTERM})
    return 0

sys.exit(processes.run_processes(int(sys.argv[1]), main))
"""


class Family:
    def __init__(self, count: int, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(count)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        )

    def child(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def until_all_ended(self) -> None:
        """Every child holds the other end of the pipe."""
        assert self.process.stdout is not None
        self.process.stdout.read()


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family(2)
    yield made
    made.process.kill()
    made.process.wait()
    made.until_all_ended()


def test_a_killed_process_is_replaced_and_term_ends_all(family: Family) -> None:
    first, second = family.child(), family.child()
    os.kill(first, signal.SIGKILL)
    third = family.child()
    assert len({first, second, third, family.process.pid}) == 4
    family.process.send_signal(signal.SIGTERM)
    assert family.process.wait(60) == 0
    family.until_all_ended()


def test_children_end_when_the_parent_is_killed(family: Family) -> None:
    family.child(), family.child()
    family.process.kill()
    family.until_all_ended()


def test_a_configuration_error_ends_all_with_its_exit_code() -> None:
    family = Family(2, FAIL="1")
    assert family.process.wait(60) == 7
    family.until_all_ended()


def test_one_process_is_the_program_itself() -> None:
    family = Family(1)
    assert family.child() == family.process.pid
    family.process.send_signal(signal.SIGTERM)
    assert family.process.wait(60) == 0


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("04", 4), ("64", 64)])
def test_the_number_of_processes(text: str, count: int) -> None:
    assert parse_processes(text) == count


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "+1", " 1", "1.0", "many", "\u0664", "\u00b2"])
def test_a_number_of_processes_that_cannot_work_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number from 1 to 64") as caught:
        parse_processes(text)
    assert str(caught.value).startswith(f"PROCESSES is {text!r}; ")
