"""What `make` says where it cannot do what it was told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import need
from tests.support.source import ROOT


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """As a person calls it: without what a `make` that runs this test has left in the environment."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [need("make"), *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Ready, as far as make can see."""
    (tmp_path / "ready").touch()
    return tmp_path


@pytest.mark.parametrize("name", ["load", "nothing", ""])
def test_a_benchmark_that_is_none_is_told_and_which_there_are(venv: Path, name: str) -> None:
    done = make("bench", f"BENCH={name}", f"VENV={venv}")
    assert done.returncode == 2
    assert f"BENCH is {name}; expected one of " in done.stderr and " local_delivery " in done.stderr
