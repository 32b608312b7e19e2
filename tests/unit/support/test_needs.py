"""What is missing skips a test, and fails it in strict mode."""

from __future__ import annotations

import os

import pytest

from tests.conftest import pytest_runtest_setup
from tests.support.needs import STRICT_MODE, need


def test_a_missing_program_skips_and_in_strict_mode_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(STRICT_MODE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="swaks"):
        need("swaks")
    monkeypatch.setenv(STRICT_MODE, "1")
    with pytest.raises(pytest.fail.Exception, match="swaks"):
        need("swaks")


def test_a_test_for_root_fails_in_strict_mode_as_somebody_else(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv(STRICT_MODE, "1")
    pytest_runtest_setup(request.node)
    request.node.add_marker(pytest.mark.root(reason="only root mounts"))
    with pytest.raises(pytest.fail.Exception, match="uid 0: only root mounts"):
        pytest_runtest_setup(request.node)
