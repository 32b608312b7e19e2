"""Every alert that the queue can log is explained in docs/operations.md."""

from __future__ import annotations

import re

import pytest

from tests.support.source import ROOT

ALERT = re.compile(r'"(alert: [a-z][^":{;]*)')
FILES = sorted((ROOT / "services" / "queue").rglob("*.py"))
FOUND = sorted({match[1].rstrip(" :") for path in FILES for match in ALERT.finditer(path.read_text(encoding="utf-8"))})


def test_there_are_alerts() -> None:
    assert len(FOUND) > 5


@pytest.mark.parametrize("text", FOUND)
def test_an_alert_is_explained(text: str) -> None:
    assert f"`{text}" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
