"""What a machine may lack: a test that needs it is skipped; in strict mode (CI) it fails, where a package has it."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

STRICT_MODE = "REQUIRE_ENGINE"


def missing(what: str) -> NoReturn:
    """End the test that needs it."""
    if os.environ.get(STRICT_MODE) == "1":
        pytest.fail(f"{STRICT_MODE}=1, and it is missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")


def missing_machine(what: str) -> NoReturn:
    """End the test that needs it; what no package brings, as a kernel's loop devices, is no fault in strict mode."""
    pytest.skip(f"missing: {what}")


def need(program: str) -> str:
    """The program's path."""
    return shutil.which(program) or missing(f"{program}, of the Debian packages in .ci/packages")
