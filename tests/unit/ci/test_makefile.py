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


def test_without_a_python_it_is_told_what_to_install_and_only_if_one_is_needed(tmp_path: Path) -> None:
    done = make("check", "PYTHONS=/bin/false /nowhere/python3", f"VENV={tmp_path}")
    assert done.returncode == 2
    assert "expected Debian's python3-venv" in done.stderr
    assert make("help", "PYTHONS=/bin/false").returncode == 0


def test_without_an_engine_the_other_way_to_start_is_told() -> None:
    done = make("up", "COMPOSE=/nowhere/docker compose")
    assert done.returncode == 2
    assert "no container engine with compose answers" in done.stderr and "make run" in done.stderr


def test_the_locks_are_made_on_a_clean_clone_too(tmp_path: Path) -> None:
    done = make("-n", "lock", f"VENV={tmp_path}", "PYTHON=python3")
    venv, compile_ = done.stdout.index(f"-m venv {tmp_path}"), done.stdout.index(f"{tmp_path}/bin/uv pip compile")
    assert venv < compile_
