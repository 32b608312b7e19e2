"""A second queue stands by, takes over when the first is gone, and the first stands by when it comes back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run
from tests.support.ports import free_port
from tests.support.source import ROOT

TAKES_OVER_SECONDS = 120.0


@contextmanager
def second_queue(deployment: MailRun) -> Iterator[subprocess.Popen[bytes]]:
    """Started as the first was, with a port and a run directory of its own."""
    first = Path(f"/proc/{deployment.pid('services.queue')}")
    argv = (first / "cmdline").read_text().split("\0")[:-1]
    pairs = (entry.partition("=") for entry in (first / "environ").read_text().split("\0") if entry)
    owner = (first / "comm").stat()
    run = deployment.directory / "run" / "roles" / "second-queue"
    run.mkdir()
    environ = {name: value for name, _, value in pairs} | {
        "HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "RUN_DIR": str(run),
    }
    as_owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        os.chown(run, owner.st_uid, owner.st_gid)
        as_owner = {"user": owner.st_uid, "group": owner.st_gid}
    with open(deployment.directory / "second-queue.log", "wb") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=log, stderr=log, **as_owner)
    try:
        # It touches this file when it has found itself able to work.
        eventually(lambda: (run / "healthy").exists(), "the second queue is on the bus")
        yield process
    finally:
        process.terminate()
        process.wait(60)


def arrives(deployment: MailRun, number: int) -> None:
    assert deployment.send(number) == 250
    eventually(lambda: number in deployment.numbers("ari"), f"message {number}", TAKES_OVER_SECONDS)


def test_a_second_queue_takes_over_and_gives_way_to_nobody_while_it_works() -> None:
    with mail_run() as deployment:
        deployment.start()
        with second_queue(deployment) as second:
            arrives(deployment, 1)
            supervisor = deployment.run.process
            assert supervisor is not None
            # So that the first is not started again at once.
            supervisor.send_signal(signal.SIGSTOP)
            try:
                deployment.signal("services.queue", signal.SIGKILL)
                arrives(deployment, 2)
            finally:
                supervisor.send_signal(signal.SIGCONT)
            eventually(lambda: "services.queue" in deployment.run.roles(), "the first is started again")
            arrives(deployment, 3)
            assert second.poll() is None, "the one that works went on working"
            second.terminate()
            assert second.wait(60) == 0
            arrives(deployment, 4)
        assert deployment.numbers("ari") == [1, 2, 3, 4]
