"""A test whose mounts nobody else sees: a container that starts meanwhile would copy them and keep them alive."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.support.needs import missing_machine

Found = TypeVar("Found")

CLONE_NEWNS = 0x0002_0000  # linux/sched.h; os.unshare came with Python 3.12


def with_own_mounts(work: Callable[[], Found]) -> Found:
    """What `work` returns or raises, done by a thread in a mount namespace of its own (mount_namespaces(7)), as are the
    threads and processes that it starts. Without the right to one the test is skipped, in strict mode too."""
    with ThreadPoolExecutor(1, initializer=_leave) as thread:
        return thread.submit(work).result()


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        missing_machine(f"a mount namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(("mount", "--make-rprivate", "/"), check=True, capture_output=True)
