"""What every benchmark needs starts, is seen role by role, and ends."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchmarks.support.deployment import ROLES, Deployment


@pytest.mark.root(reason="the benchmarks run per-user, as the product does")
def test_the_benchmarks_deployment_starts_with_every_role_and_ends() -> None:
    with tempfile.TemporaryDirectory(prefix="qmail-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        deployment = Deployment(directory / "ours")
        try:
            deployment.start()
            assert all(deployment.main_pid(role) for role in ROLES)
        finally:
            deployment.stop()
