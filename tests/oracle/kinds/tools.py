"""Recorded runs of qmail's programs for people and `.qmail` lines, answered by those of QMAIL_DIR/bin, each started as
it was typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.tool_case import ToolCase


def read_cases(directory: Path) -> Iterator[dict[str, Any]]:
    """All cases, for uid 0; for others those that need nobody else's uid."""
    path = directory / "tools.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        case = json.loads(line)
        needs_uids = "-getpw-" in case["id"] or "access denied" in json.dumps(case["expect"])
        if os.geteuid() == 0 or not needs_uids:
            yield case


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What the steps say and leave."""
    with ToolCase(case["input"]) as tools:
        return tools.result()


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal; files in any order, symbolic links that the case's own shell made aside."""

    def sort(answer: dict[str, Any]) -> dict[str, Any]:
        files = sorted(
            (file for file in answer["files"] if file.get("type") != "symlink"), key=lambda f: str(f["path"])
        )
        return answer | {"files": files}

    return sort(expected) == sort(actual)
