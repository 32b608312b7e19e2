"""Several processes of one door (environment PROCESSES), each with its own loop and SO_REUSEPORT sockets."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import FrameType

from qmail.door.admission import Admission
from qmail.log.log import Log
from qmail.role.exits import exit_code
from qmail.role.loop import run
from qmail.role.process import RoleProcess

MAX_PROCESSES = 64
PR_SET_PDEATHSIG = 1
RESTART_SECONDS = 1.0


def parse_processes(text: str) -> int:
    """The value of PROCESSES, from 1 to MAX_PROCESSES. Raises ValueError, whose text names PROCESSES."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PROCESSES):
        raise ValueError(f"PROCESSES is {text!r}; expected a number from 1 to {MAX_PROCESSES}")
    return int(text)


def run_door(
    name: str,
    log: Log,
    processes: int,
    serve: Callable[[Admission, RoleProcess], Awaitable[None]],
    doors: Sequence[str] = ("",),
) -> int:
    """Serve in so many processes, which count the clients of each door together; the exit code. What the role is told
    by its environment and its control files is checked by then."""
    admission = Admission(processes, doors)

    def one() -> int:
        admission.claim_row()
        return exit_code(name, lambda: run(RoleProcess(name, log).live(partial(serve, admission))))

    return run_processes(processes, one)


def run_processes(count: int, main: Callable[[], int]) -> int:
    """Run `main` in `count` processes and wait for all; with 1, here. Call before any thread or loop starts.

    A process killed by a signal is replaced after a second; one that returns before TERM ends all (a
    configuration error would only repeat itself). TERM and INT are passed on. Returns the exit code.
    """
    if count <= 1:
        return main()
    return _Family(count, main).run()


class _Family:
    def __init__(self, count: int, main: Callable[[], int]) -> None:
        self._count = count
        self._main = main
        self._children: set[int] = set()
        self._ending = False
        self._code = 0

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for _ in range(self._count):
            self._start()
        while self._children:
            self._wait()
        return self._code

    def _wait(self) -> None:
        child, status = os.wait()
        if child not in self._children:
            return
        self._children.discard(child)
        code = os.waitstatus_to_exitcode(status)
        if self._ending:
            return
        if code < 0:
            time.sleep(RESTART_SECONDS)
            if not self._ending:
                self._start()
            return
        self._code = code
        self._end()

    def _start(self) -> None:
        parent = os.getpid()
        signals = {signal.SIGTERM, signal.SIGINT}
        # A signal between fork and the child's own handlers must not run the parent's handler in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        child = os.fork()
        if child == 0:
            os._exit(self._be_child(parent, signals))
        self._children.add(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def _be_child(self, parent: int, signals: set[signal.Signals]) -> int:
        try:
            for number in signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            _die_with(parent)
            return self._main()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._ending = True
        for child in self._children:
            os.kill(child, signal.SIGTERM)


def _die_with(parent: int) -> None:
    """Ask the kernel for a TERM when the parent dies (prctl(2)), so that no process is left serving alone."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
