"""Runs recorded cases: every case is run by the real code; what differs is counted, shown and compared with the
baseline (cases that were equal once must stay so) and with the divergences that are meant (divergences.toml).
"""

from __future__ import annotations

import importlib
import json
import tomllib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OWN_CASES = HERE / "cases"
DIVERGENCES = HERE / "divergences.toml"
BASELINE = HERE / "baseline"
# The kinds in the order of a message's way; imap_* read files of their own names (imap-oracle).
KINDS = (
    "smtpd",
    "inject",
    "local_plan",
    "local_run",
    "remote",
    "send",
    "retry",
    "pop3d",
    "tools",
    "imap_fetch",
    "imap_search",
)


@dataclass(slots=True)
class Result:
    """What running one kind gave."""

    kind: str
    equal: list[str] = field(default_factory=list)
    differs: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def line(self) -> str:
        """The line that scripts read (design.md section 7)."""
        total = len(self.equal) + len(self.differs)
        return f"{self.kind} equal {len(self.equal)} differs {len(self.differs)} of {total}"


def expectations(case: dict[str, Any]) -> list[Any]:
    """What may be answered: qmail 1.03's answer where it was recorded apart, else notqmail's."""
    if "expect_103" in case:
        return [case["expect_103"]]
    return [case["expect"], *([case["expect_again"]] if "expect_again" in case else [])]


def load_kind(kind: str) -> Any:
    """The module that runs a kind."""
    return importlib.import_module(f"tests.oracle.kinds.{kind}")


def read_cases(module: Any, kind: str, directory: Path) -> Iterator[dict[str, Any]]:
    """The cases of a kind in a directory; none where it has no such file. A kind may read its own way."""
    if hasattr(module, "read_cases"):
        yield from module.read_cases(directory)
        return
    path = directory / f"{kind}.jsonl"
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def run_case(module: Any, case: dict[str, Any]) -> tuple[bool, Any, Any]:
    """Whether a case is equal, what was expected, what came."""
    wanted = expectations(case)
    try:
        actual = module.run(case)
        if any(module.same(want, actual) for want in wanted):
            return True, wanted[0], actual
    except Exception:
        actual = {"error": traceback.format_exc()}
    return False, wanted[0], actual


def run_kind(kind: str, directory: Path) -> Result | None:
    """Run every case of a kind; None where the directory has none."""
    module = load_kind(kind)
    result = Result(kind)
    for case in read_cases(module, kind, directory):
        equal, wanted, actual = run_case(module, case)
        if equal:
            result.equal.append(case["id"])
        else:
            result.differs[case["id"]] = (wanted, actual)
    return result if result.equal or result.differs else None


def write_differences(result: Result, directory: Path) -> None:
    """One file a kind below `build/`, a readable block for each case that differs."""
    directory.mkdir(parents=True, exist_ok=True)
    blocks = []
    for case_id, (wanted, actual) in result.differs.items():
        want = json.dumps(wanted, indent=1, default=repr, ensure_ascii=False)
        have = json.dumps(actual, indent=1, default=repr, ensure_ascii=False)
        blocks.append(f"== {case_id}\n-- expected\n{want}\n-- actual\n{have}\n")
    (directory / f"{result.kind}.txt").write_text("\n".join(blocks), encoding="utf-8")


def divergences(kind: str) -> dict[str, str]:
    """Cases that differ on purpose, with the reason."""
    if not DIVERGENCES.exists():
        return {}
    table: dict[str, str] = tomllib.loads(DIVERGENCES.read_text(encoding="utf-8")).get(kind, {})
    return table


def baseline(kind: str) -> set[str]:
    """Cases that were equal when the baseline was written."""
    path = BASELINE / f"{kind}.txt"
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()
