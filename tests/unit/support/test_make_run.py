"""A deployment's processes are looked at while they come and go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import make_run


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run.MakeRun(tmp_path / "var")
    monkeypatch.setattr(run, "process", SimpleNamespace(pid=os.getpid()))
    look = make_run._program

    def end_first(pid: int) -> str:
        if pid == child.pid:
            child.kill()
            child.wait()
        return look(pid)

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in run.roles().values()
        monkeypatch.setattr(make_run, "_program", end_first)
        assert child.pid not in run.roles().values()
