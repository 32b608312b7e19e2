"""The far host of outgoing mail: Postfix's smtp-sink, on every address of loopback, which counts what it takes."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from pathlib import Path

from benchmarks.support.load import DEADLINE_SECONDS, LOOK_SECONDS

_TAIL_BYTES = 200
_COUNT = re.compile(rb"sess=(\d+) quit=\d+ mesg=(\d+)")
# More connections at a time than anybody makes.
_MOST = "1000"


class Sink:
    """One smtp-sink; its counters go to a file."""

    def __init__(self, log: Path, port: int) -> None:
        self._log, self.port = log, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it listens. Raises TimeoutError."""
        with open(self._log, "wb") as log:
            command = ["smtp-sink", "-u", "nobody", "-c", "-m", _MOST, f"inet::{self.port}", _MOST]
            self._process = subprocess.Popen(command, stdout=log)
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(LOOK_SECONDS)
        raise TimeoutError(f"smtp-sink does not listen, exit code {self._process.poll()}")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def counted(self) -> tuple[int, int]:
        """Sessions and messages so far."""
        with open(self._log, "rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _TAIL_BYTES))
            found = _COUNT.findall(log.read())
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)

    def wait_for(self, messages: int) -> None:
        """Return when it has taken so many messages. Raises TimeoutError."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.counted()[1] < messages:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.counted()[1]} of {messages} messages were taken")
            time.sleep(LOOK_SECONDS)
