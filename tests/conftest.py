"""For all tests: those marked `root` need uid 0; neither the umask nor a loaded machine changes what they find."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.needs import missing

# Before any test module is read, since `@given` takes the profile that is loaded when it decorates. The same
# examples each time: a failure is one of the change at hand, and can be had again.
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")

# Other users read what the tests write, as they do under the umask of a container.
os.umask(0o022)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing of what is collected becomes garbage: looking for some costs more than the collecting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures, which might need it themselves."""
    for mark in item.iter_markers("root"):
        if os.geteuid() != 0:
            missing(f"uid 0: {mark.kwargs['reason']}")
