"""The stand-ins are made where something is there to make them with; elsewhere it is said what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.source import ROOT

TOOLS = ("bash", "cat", "cut", "dirname", "flock", "mkdir", "rm", "sed", "sha256sum")
# The other two images are real ones.
ENGINE = '#!/bin/sh\ncase "$*" in *coredns*) exit 1 ;; *) echo "|" ;; esac\n'


def test_a_machine_without_go_is_told_which_is_needed(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(str(shutil.which(tool)))
    (programs / "docker").write_text(ENGINE)
    (programs / "docker").chmod(0o755)
    environ = {"PATH": str(programs), "QMAIL_CI_CACHE": str(tmp_path / "cache")}
    argv = [str(programs / "bash"), str(ROOT / ".ci" / "base-images")]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the program go is missing; expected Go 1." in done.stderr, done.stderr
