"""One deployment without containers, started as `make run` starts it."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from supervise.settings import PORTS
from tests.support.ports import free_ports
from tests.support.source import ROOT

READY_SECONDS = 90.0
END_SECONDS = 60.0
# What the supervisor says where somebody has taken a port since it was chosen.
PORT_TAKEN = "expected a free port"
PORT_TRIES = 3


class MakeRun:
    """A supervisor and all that it starts, below `directory`."""

    def __init__(self, directory: Path, prefix: tuple[str, ...] = (), **environ: str) -> None:
        self.directory = directory
        self.ports: dict[str, int] = {}
        self.environ = {name: value for name, value in os.environ.items() if name != "IDENTITY"}
        self._settings = {"QMAIL_DIR": str(directory), **environ}
        self._choose_ports()
        self.log = directory.parent / f"{directory.name}.log"
        self._argv = (*prefix, sys.executable, "-m", "supervise")
        self.process: subprocess.Popen[bytes] | None = None
        self._drain: threading.Thread | None = None

    def _choose_ports(self) -> None:
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.environ |= {**{name: str(port) for name, port in self.ports.items()}, **self._settings}

    def start(self) -> None:
        """Start, and return when the line `ready` comes. Raises RuntimeError with the log where it does not.

        The first time it is tried again where a port is taken; from then on only this deployment's own processes
        should have had them, and whatever is left of those is a fault."""
        tries = PORT_TRIES if self.process is None else 1
        while not self._started():
            said = self.log.read_text(errors="replace")[-5000:]
            tries -= 1
            if PORT_TAKEN not in said or not tries:
                raise RuntimeError(f"not ready:\n{said}")
            self._choose_ports()

    def _started(self) -> bool:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self._argv, cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, stderr=log)
        if self.wait_for_line(rb"ready", READY_SECONDS):
            return True
        self.stop()
        return False

    def wait_for_line(self, pattern: bytes, seconds: float) -> bool:
        """Whether such a line comes on standard output in time; all of the output goes to the log."""
        assert self.process is not None and self.process.stdout is not None
        fd, buffer, deadline = self.process.stdout.fileno(), b"", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector, open(self.log, "ab") as log:
            selector.register(fd, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(fd, 65536)
                if not data:
                    return False
                log.write(data)
                buffer += data
                *lines, buffer = buffer.split(b"\n")
                if any(re.fullmatch(pattern, line) for line in lines):
                    return True
        return False

    def drain(self) -> None:
        """Copy everything that comes from now on to the log, in a thread that ends with the output.

        A pipe that nobody reads would stop the roles once it is full."""
        assert self.process is not None and self.process.stdout is not None
        fd = self.process.stdout.fileno()

        def copy() -> None:
            with open(self.log, "ab", buffering=0) as log:
                while data := os.read(fd, 65536):
                    log.write(data)

        self._drain = threading.Thread(target=copy, daemon=True)
        self._drain.start()

    def roles(self) -> dict[str, int]:
        """Program -> process id of what the supervisor runs at this moment."""
        assert self.process is not None
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found: dict[str, int] = {}
        for pid in map(int, pids):
            # One that has ended since the list was read runs no more.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[_program(pid)] = pid
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self._drain is not None:
            self.process.wait(END_SECONDS)
            self._drain.join(END_SECONDS)
            self._drain = None
            return self.process.returncode
        # Whoever writes to a pipe that nobody reads would wait for ever.
        output, _ = self.process.communicate(timeout=END_SECONDS)
        with open(self.log, "ab") as log:
            log.write(output)
        return self.process.returncode


def _program(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name
