"""No test runs a benchmark, so this tells when one has lost what it imports."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.support.source import ROOT

FILES = sorted(path for path in (ROOT / "benchmarks").rglob("*.py") if path.stem != "__init__")
BENCHMARKS = [path for path in FILES if path.parent.name == "benchmarks"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_imports(path: Path) -> None:
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_make_bench_can_run_does_something(path: Path) -> None:
    assert 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"), "a helper belongs in benchmarks/support"
