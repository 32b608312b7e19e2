"""For all tests: those marked `root` need uid 0."""

from __future__ import annotations

import os

import pytest

from tests.support.needs import missing


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures, which might need it themselves."""
    for mark in item.iter_markers("root"):
        if os.geteuid() != 0:
            missing(f"uid 0: {mark.kwargs['reason']}")
