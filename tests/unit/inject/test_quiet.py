"""A command whose reader has gone says nothing, and so says nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import ROOT

COMMAND = "from services.inject.quiet import ends_quietly; raise SystemExit(ends_quietly(lambda: {body}))"


def run(body: str) -> tuple[int, bytes]:
    """Exit code and standard error of a command before a pipe that nobody reads any more."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(body=body)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    return process.wait(60), said


@pytest.mark.parametrize("body", ["print('a line') or 0", "print('x' * 1000000) or 0"])
def test_neither_a_short_text_nor_a_long_one_is_complained_of(body: str) -> None:
    assert run(body) == (141, b"")


def test_without_output_nothing_is_missed() -> None:
    assert run("3") == (3, b"")


@pytest.mark.parametrize(
    "module", ["services/admin/commands/qmailctl.py", "services/admin/commands/bin.py", "services/inject/__main__.py"]
)
def test_every_program_that_prints_ends_so(module: str) -> None:
    assert "ends_quietly(lambda" in (ROOT / Path(module)).read_text()
