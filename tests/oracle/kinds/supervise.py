"""Recorded runs of daemontools and ucspi-tcp from a shell, answered by those of QMAIL_DIR/bin. What has no program here
(NOT_HERE) is not started: such a case differs, and divergences.toml says why."""

from __future__ import annotations

import re
from typing import Any

from tests.oracle.tool_case import ToolCase

# What the engine, `make run` and smtpd do.
NOT_HERE = re.compile(r"^(.*[;&] *)?(supervise|svscan|tcpserver)\b")
_STAMP = re.compile(r"@4[0-9a-f]{23}")


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What the script says and leaves."""
    given = case["input"]
    started = NOT_HERE.match(given["script"].partition("\n")[0])
    if started:
        return {"not here": started[2]}
    step = {"argv": ["/bin/sh", "-c", given["script"]], "stdin": given.get("stdin", ""), "env": given.get("env", {})}
    with ToolCase({"steps": [step], "files": given.get("files", [])}) as tools:
        result = tools.result()
    files = [{**file, "path": file["path"].removeprefix("<WORK>/")} for file in result["files"]]
    return {**result["steps"][0], "files": [file for file in files if not file["path"].endswith("/")]}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal but the times; files in any order."""

    def plain(answer: dict[str, Any]) -> str:
        files = sorted(answer.get("files", []), key=lambda f: str(f["path"]))
        return _STAMP.sub("@<TAI64N>", str({**answer, "files": files}))

    return plain(expected) == plain(actual)
