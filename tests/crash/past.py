"""What had ended when nothing was under way, and must not come back: the bus and the queue are killed after it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

from tests.crash.kinds import FarHost
from tests.support.deployment import eventually
from tests.support.make_run import MakeRun
from tests.support.queue_http import flush, is_empty
from tests.support.source import ROOT

SETTLE_SECONDS = 180.0
MARK = "crash test: all before this line has ended"
_NAMED = re.compile(r"\bmsg (\d+)\b")
_BEGUN = re.compile(r"^(?:new msg|starting delivery \d+: msg) (\d+)\b", re.MULTILINE)


class Past:
    """Call `settle_and_kill` when the queue is empty, `revived` at the end."""

    def __init__(self, deployment: MakeRun, far: FarHost) -> None:
        self._deployment, self._far = deployment, far
        self._relayed: Counter[str] = Counter()

    def settle_and_kill(self) -> None:
        """Wait until what ended has been removed; kill the bus, then the queue; the queue is empty all the same."""
        eventually(self._is_removed, "IN is empty", SETTLE_SECONDS)
        self._relayed |= self._far.found.qps
        self._kill("nats-server")
        eventually(lambda: is_empty(self._deployment), "an empty queue after the bus's death", SETTLE_SECONDS)
        self._kill("services.queue")
        self._mark()
        eventually(lambda: is_empty(self._deployment), "an empty queue after its own death", SETTLE_SECONDS)
        flush(self._deployment)

    def _is_removed(self) -> bool:
        """IN is purged after all else of a message is recorded."""
        argv = [str(ROOT / "qmailctl"), "stat"]
        stat = subprocess.run(argv, env=self._deployment.environ, cwd=ROOT, capture_output=True, text=True, check=False)
        return " IN 0 records" in stat.stdout

    def _kill(self, program: str) -> None:
        before = self._deployment.roles()[program]
        with contextlib.suppress(ProcessLookupError):
            os.kill(before, signal.SIGKILL)
        eventually(lambda: self._deployment.roles().get(program, before) != before, f"{program} again", SETTLE_SECONDS)

    def _mark(self) -> None:
        """A line between what the dead queue wrote and what the next one writes, in the pipe that both have."""
        assert self._deployment.process is not None
        with open(f"/proc/{self._deployment.process.pid}/fd/1", "wb", buffering=0) as pipe:
            pipe.write(f"{MARK}\n".encode())

    def revived(self) -> list[str]:
        """Messages of which something was begun after they had ended, and those relayed once more."""
        ended, found = set[str](), list[str]()
        for part in Path(self._deployment.log).read_text(errors="replace").split(MARK):
            found += [f"msg {number}" for number in _BEGUN.findall(part) if number in ended]
            ended |= set(_NAMED.findall(part))
        again = self._far.found.qps
        return found + [f"relayed {qp}" for qp, copies in self._relayed.items() if again[qp] > copies]
