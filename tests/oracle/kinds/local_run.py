"""Recorded deliveries of qmail-local: outputs, forwards, and every file that it left."""

from __future__ import annotations

from typing import Any

from tests.oracle.local_case import LocalCase


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The delivery by our qmail-local."""
    with LocalCase(case["input"]) as local:
        result = local.result()
        return result | {"queue": local.queue(), "files": local.files()}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether everything is equal; files in any order."""

    def sort(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"files": sorted(answer["files"], key=lambda f: str(f["path"]))}

    return sort(expected) == sort(actual)
