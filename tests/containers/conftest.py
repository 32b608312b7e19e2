"""Deployments for the container tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.needs import missing

# The helper container that testcontainers would start cleans up after crashed test runs; ours is done by `deployed`.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in this directory needs an engine, and comes last: a deployment that nobody uses costs time."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.engine)
    items.sort(key=set(here).__contains__)


def why_no_engine() -> str | None:
    try:
        done = subprocess.run(["docker", "compose", "ls"], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return "docker is not installed"
    return None if done.returncode == 0 else done.stderr.strip()


@pytest.fixture(scope="session")
def engine() -> None:
    """A container engine with compose."""
    reason = why_no_engine()
    if reason is not None:
        missing(f"a container engine: {reason}")


@pytest.fixture(scope="session")
def xeris(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """xeris.com on a loopback address, with two accounts."""
    directory = tmp_path_factory.mktemp("xeris")
    with deployed(
        directory, project="test-xeris", me="mail.xeris.com", address="127.0.53.1", subnet="172.29.61"
    ) as deployment:
        deployment.useradd("joni", "joni-password")
        deployment.useradd("budi", "budi-password")
        yield deployment
