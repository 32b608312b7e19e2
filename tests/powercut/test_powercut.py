"""The power fails, again and again, while mail comes in: the deployment comes back by itself, and nothing is missing.

Everything of the deployment, the bus's store and the Maildirs, lies on an ext4 file system in a file that forgets what
was not synced. POWERCUT_CUTS says how many cuts (two; `make powercut` makes twenty), POWERCUT_SEED repeats a run.
No container may be started meanwhile: the engine's copies of the mounts would keep alive what was cut.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import smtplib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.deployment import eventually
from tests.support.loop_disk import LoopDisk, loop_disk
from tests.support.mail_run import HOST, MailRun, mail_run

CUTS = int(os.environ.get("POWERCUT_CUTS", "2"))
SEED = os.environ.get("POWERCUT_SEED") or secrets.token_hex(4)
SENDERS = 4
LONGEST_LOAD_SECONDS = 8.0
# A quick machine accepts 50 MB between two cuts, and keeps copies of the bus's newest blocks; a full disk is another
# test's matter. The file takes only what is written to it.
DISK_MEGABYTES = 512 + 128 * CUTS
SIZES = (1, 10, 200, 12_000)  # lines of a message; the last goes in pieces
LINE = b"a line of a message that must come back whole, every one of them"
NUMBER_AND_LINES = re.compile(rb"^X-Number: (\d+)\r?\nX-Lines: (\d+)\r?$", re.MULTILINE)


def message(number: int, lines: int) -> bytes:
    head = b"Subject: cut\r\nX-Number: %d\r\nX-Lines: %d\r\n\r\n" % (number, lines)
    return head + (LINE + b"\r\n") * lines


class Load:
    """Senders that go on until the door is gone; `accepted` are the numbers answered 250 while there was power.

    Processes live on for a moment when the disk is cut, as they do not when the power fails: what they answer then
    nobody would have heard."""

    def __init__(self, port: int, chosen: random.Random, first: int) -> None:
        self._port, self._chosen = port, chosen
        self._next, self._lock = first, threading.Lock()
        self.accepted: set[int] = set()
        self.refusal = "none"
        self._power = True
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]

    @property
    def next(self) -> int:
        """The first number that was not used."""
        return self._next

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def power_fails(self) -> None:
        """To be called just before it does."""
        with self._lock:
            self._power = False

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _take(self) -> tuple[int, int]:
        with self._lock:
            number, self._next = self._next, self._next + 1
            return number, self._chosen.choices(SIZES, weights=(20, 20, 10, 1))[0]

    def _send_all(self) -> None:
        while not self._stop.is_set():
            try:
                self._send_some()
            except (OSError, smtplib.SMTPException) as error:
                self.refusal = repr(error)

    def _send_some(self) -> None:
        with smtplib.SMTP(HOST, self._port, timeout=30) as client:
            while not self._stop.is_set():
                number, lines = self._take()
                client.sendmail("ari@xeris.com", ["ari@xeris.com"], message(number, lines))
                with self._lock:
                    if self._power:
                        self.accepted.add(number)


@contextmanager
def on_a_disk() -> Iterator[tuple[MailRun, LoopDisk]]:
    with tempfile.TemporaryDirectory() as images, mail_run() as deployment:
        with loop_disk(Path(images) / "disk", deployment.directory, DISK_MEGABYTES) as disk:
            deployment.directory.chmod(0o755)
            try:
                yield deployment, disk
            finally:
                if deployment.run.process is not None:
                    deployment.kill()


def cut_under_load(deployment: MailRun, disk: LoopDisk, chosen: random.Random, first: int) -> Load:
    load = Load(deployment.run.ports["SMTP_PORT"], chosen, first)
    load.start()
    try:
        eventually(lambda: load.accepted, "the first message is accepted")
        threading.Event().wait(chosen.uniform(0.0, LONGEST_LOAD_SECONDS))
    except AssertionError as error:
        raise AssertionError(f"{error}; the last refusal: {load.refusal}") from error
    finally:
        load.power_fails()
        disk.cut()
        deployment.kill()
        load.end()
    disk.unmount()
    return load


def arrived(deployment: MailRun) -> set[int]:
    """The numbers of what lies in the mailbox; every file there is whole."""
    found: set[int] = set()
    for text in deployment.messages("ari"):
        match = NUMBER_AND_LINES.search(text)
        assert match is not None, f"no message: {text[:200]!r}"
        assert text.count(LINE) == int(match[2]), f"message {int(match[1])} is not whole"
        found.add(int(match[1]))
    return found


@pytest.mark.slow
def test_what_was_accepted_outlives_every_power_cut() -> None:
    print(f"POWERCUT_SEED={SEED} POWERCUT_CUTS={CUTS}")
    chosen = random.Random(SEED)
    accepted: set[int] = set()
    number = 0
    with on_a_disk() as (deployment, disk):
        deployment.start()
        for cut in range(CUTS):
            load = cut_under_load(deployment, disk, chosen, number)
            accepted, number = accepted | load.accepted, load.next
            disk.mount()
            deployment.start()
            deployment.drained()
            missing = accepted - arrived(deployment)
            assert not missing, f"cut {cut} (POWERCUT_SEED={SEED}): {sorted(missing)} of {len(accepted)} are missing"
            eventually(
                lambda: deployment.qmailctl("stat").returncode == 0,
                "every role is up, and no loss is told where is none",
            )
            print(f"cut {cut}: {len(load.accepted)} accepted, {len(accepted)} in all, none missing")
