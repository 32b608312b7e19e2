"""Recorded answers of `qmail-local -n`: which instructions it finds."""

from __future__ import annotations

from typing import Any

from tests.oracle.local_case import LocalCase


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The answer of our qmail-local."""
    with LocalCase(case["input"]) as local:
        return local.result()


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether exit code and both outputs are equal."""
    return expected == actual
