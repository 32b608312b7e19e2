"""The script `qmailctl` at the top of the checkout, as far as it does anything itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from services.admin.commands.usage import HELP
from tests.support.source import ROOT


def test_help_needs_neither_a_deployment_nor_a_python(tmp_path: Path) -> None:
    for tool in ("dirname", "sed"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    command = ["/bin/sh", str(ROOT / "qmailctl"), "help"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, HELP, "")
