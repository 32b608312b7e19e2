"""Tests wait for events, never for time, and are skipped in one place."""

from __future__ import annotations

import ast

from tests.support.source import ROOT, file_of, imports_of, nodes_of

# A fake clock's own event loop turn, which waits for nothing.
TURN_OF_THE_LOOP = "0"
# A peer as it was recorded: when it hesitates, that is the case.
PEERS = {ROOT / "tests" / "support" / "scripted.py"}
SKIPS = {
    "pytest.skip",
    "pytest.importorskip",
    "pytest.xfail",
    "pytest.mark.skip",
    "pytest.mark.skipif",
    "pytest.mark.xfail",
}
# Whether it is skipped or fails is decided there, by strict mode.
NEEDS = ROOT / "tests" / "support" / "needs.py"
# The loop whose clock jumps: there a sleep takes no time.
JUMPING_CLOCK = "tests.support.warp"


def test_no_test_sleeps() -> None:
    for path in set((ROOT / "tests").rglob("*.py")) - PEERS:
        if path == file_of(JUMPING_CLOCK) or JUMPING_CLOCK in imports_of(path):
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep", "asyncio.sleep"):
                turn = [ast.unparse(argument) for argument in node.args] == [TURN_OF_THE_LOOP]
                assert turn, f"{path.relative_to(ROOT)}:{node.lineno}: a test waits for an event, not for time"


def test_no_test_is_skipped_by_itself() -> None:
    for path in set((ROOT / "tests").rglob("*.py")) - {NEEDS}:
        for node in nodes_of(path):
            skips = isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS
            assert not skips, f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: in strict mode this must fail"
