"""The power fails, again and again, while mail comes in: the deployment comes back by itself, and nothing is missing.

Everything of the deployment, the bus's store and the Maildirs, lies on an ext4 file system in a file that forgets what
was not synced. POWERCUT_CUTS says how many cuts (two; `make powercut` makes twenty), POWERCUT_SECONDS how long the load
before each may be, POWERCUT_SEED repeats a run.

Processes live on for a moment when the disk is cut, as they do not when the power fails. What they answer then nobody
would have heard, and it is not to be trusted: an fsync that is under way when ext4 is shut down may return success
though nothing is on the disk (see `make powercut` in docs/operations.md). So only what was answered before counts.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.powercut.load import LINE, Answer, Load
from tests.powercut.traces import Named, in_blocks, of_message
from tests.support.deployment import eventually
from tests.support.loop_disk import LoopDisk, loop_disk
from tests.support.mail_run import MailRun, mail_run
from tests.support.own_mounts import with_own_mounts

CUTS = int(os.environ.get("POWERCUT_CUTS", "2"))
SEED = os.environ.get("POWERCUT_SEED") or secrets.token_hex(4)
LONGEST_LOAD_SECONDS = float(os.environ.get("POWERCUT_SECONDS", "8"))
# A quick machine accepts 50 MB between two cuts, and keeps copies of the bus's newest blocks; a full disk is another
# test's matter. The file takes only what is written to it.
DISK_MEGABYTES = 512 + 128 * CUTS
NUMBER_AND_LINES = re.compile(rb"^X-Number: (\d+)\r?\nX-Lines: (\d+)\r?$", re.MULTILINE)


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


def cut_under_load(deployment: MailRun, disk: LoopDisk, chosen: random.Random, first: int) -> tuple[Load, float]:
    """The senders, and when the power failed."""
    load = Load(deployment.run.ports["SMTP_PORT"], chosen, first)
    load.start()
    try:
        eventually(lambda: load.answers, "the first message is accepted")
        threading.Event().wait(chosen.uniform(0.0, LONGEST_LOAD_SECONDS))
    except AssertionError as error:
        said = deployment.run.log.read_text(errors="replace")[-5000:]
        raise AssertionError(f"{error}; the last refusal: {load.refusal}\n{said}") from error
    finally:
        failed_at = disk.cut()
        deployment.kill()
        load.end()
    disk.unmount()
    disk.vanish()
    return load, failed_at


def arrived(deployment: MailRun) -> set[int]:
    """The numbers of what lies in the mailbox; every file there is whole."""
    found: set[int] = set()
    for text in deployment.messages("ari"):
        match = NUMBER_AND_LINES.search(text)
        assert match is not None, f"no message: {text[:200]!r}"
        assert text.count(LINE) == int(match[2]), f"message {int(match[1])} is not whole"
        found.add(int(match[1]))
    return found


class Cuts:
    """One deployment through all its cuts."""

    def __init__(self, deployment: MailRun, disk: LoopDisk) -> None:
        self._deployment, self._disk = deployment, disk
        self._chosen = random.Random(SEED)
        self._number = 0
        self._accepted: dict[int, tuple[Answer, float]] = {}  # and the moment of its cut

    def cut(self, count: int) -> None:
        """Cut under load, start again, and look for everything that was ever accepted."""
        load, failed_at = cut_under_load(self._deployment, self._disk, self._chosen, self._number)
        self._number = load.next
        heard = {number: answer for number, answer in load.answers.items() if answer.heard_at < failed_at}
        self._accepted |= {number: (answer, failed_at) for number, answer in heard.items()}
        self._disk.mount()
        named = in_blocks(self._deployment.directory / "bus")
        self._deployment.start()
        self._deployment.drained()
        there = arrived(self._deployment)
        missing = sorted(self._accepted.keys() - there)
        assert not missing, f"cut {count} (POWERCUT_SEED={SEED}): {self._explained(missing, named)}"
        self._nothing_is_told()
        late = load.answers.keys() - heard.keys()
        print(
            f"cut {count}: {len(heard)} accepted, {len(self._accepted)} in all, none missing; "
            f"answered after the cut {len(late)}, of which missing {len(late - there)}",
            flush=True,
        )

    def _nothing_is_told(self) -> None:
        """Every role is up, and no loss is told where is none."""
        try:
            eventually(lambda: self._deployment.qmailctl("stat").returncode == 0, "`qmailctl stat` has nothing to tell")
        except AssertionError as error:
            losses = "".join(path.read_text() for path in (self._deployment.directory / "bus").glob("*.json"))
            raise AssertionError(f"{error}\n{self._deployment.qmailctl('stat').stdout}{losses}") from error

    def _explained(self, missing: list[int], named: Named) -> str:
        lines = [f"{missing} of {len(self._accepted)} are missing"]
        for number in missing:
            answer, failed_at = self._accepted[number]
            lines.append(f"{number}, msg {answer.id}, answered {1000 * (failed_at - answer.heard_at):.1f} ms before:")
            lines.append(of_message(self._deployment, answer.id, named.get(answer.id, [])))
        return "\n".join([*lines, self._deployment.qmailctl("stat").stdout])


def outlive_every_cut() -> None:
    with on_a_disk() as (deployment, disk):
        deployment.start()
        cuts = Cuts(deployment, disk)
        for count in range(CUTS):
            cuts.cut(count)


@pytest.mark.slow
def test_what_was_accepted_outlives_every_power_cut() -> None:
    print(f"POWERCUT_SEED={SEED} POWERCUT_CUTS={CUTS}")
    with_own_mounts(outlive_every_cut)
