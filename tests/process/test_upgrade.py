"""A deployment of each release before this one comes up by `make run`, and nothing of it is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from stat import S_IFDIR
from typing import Any

import pytest

from services.admin.rights import read_rights
from tests.support.deployment import eventually
from tests.support.mail_run import HOST, MailRun, mail_run
from tests.support.needs import missing
from tests.support.source import ROOT
from tests.upgrade import counted
from tests.upgrade.far_end import far_end
from tests.upgrade.make_volumes import in_short
from tests.upgrade.volumes import RELEASES, manifest, unpack

pytestmark = pytest.mark.root(reason="the volumes have owners")


class Directory:
    """A deployment of `make run`."""

    host = HOST

    def __init__(self, run: MailRun) -> None:
        self.run = run
        self.imap_port, self.pop3_port = run.run.ports["IMAP_PORT"], run.run.ports["POP3_PORT"]

    def read(self, name: str) -> bytes:
        return (self.run.directory / name).read_bytes()

    def write(self, name: str, text: str) -> None:
        path = self.run.directory / name
        if text:
            path.write_text(text)
        else:
            path.unlink(missing_ok=True)

    def queue(self) -> list[dict[str, Any]]:
        return [in_short(entry) for entry in self.run.queued()]

    def users(self) -> list[str]:
        return self.run.qmailctl("users").stdout.replace(f"{self.run.directory}/home", "/home").splitlines()

    def restart_queue(self) -> None:
        pid = self.run.pid("services.queue")
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: self.run.run.roles().get("services.queue", pid) != pid, "another scheduler")
        eventually(lambda: self.run.status().get("ready"), "the scheduler's memory")
        assert self.run.qmailctl("doqueue").returncode == 0


@pytest.mark.parametrize("release", RELEASES)
def test_a_deployment_of_an_older_release_comes_up_whole(release: str) -> None:
    left = manifest(release)
    with mail_run() as run, far_end(HOST) as far:
        unpack(release, run.directory)
        place = Directory(run)
        held_back(place, left)
        (run.directory / counted.LOG).parent.mkdir(parents=True, exist_ok=True)
        place.write(counted.LOG, counted.OLD_LINE)
        run.start()
        place = Directory(run)
        assert f"was {release.replace('-', ' ')}'s; it is release" in run.run.log.read_text()
        counted.accounts_are_all_there(place, left)
        counted.mailboxes_are_whole(place, left, exactly=True)
        counted.files_are_untouched(place, left, set(counted.HELD_BACK))
        counted.queue_is_whole(place, left)
        counted.everything_is_delivered_once(place, left, far, f"far.test:{HOST}:{far.port}\n")
        counted.mailboxes_are_whole(place, left, exactly=False)
        counted.files_are_untouched(place, left, {counted.ROUTES, counted.WAITING})
        counted.the_log_is_written_on(place)


def held_back(place: counted.Place, left: dict[str, Any]) -> None:
    """Nothing is tried yet; what the files held is put back later."""
    left["held back"] = {}
    for name, text in counted.HELD_BACK.items():
        left["held back"][name] = place.read(name).decode() if name in left["files"] else ""
        place.write(name, text)


def everything(top: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, owner and contents of all that is there."""
    found = {}
    for path in sorted(top.rglob("*")):
        st = path.lstat()
        found[str(path.relative_to(top))] = (
            st.st_mode,
            st.st_uid,
            st.st_gid,
            path.read_bytes() if path.is_file() else b"",
        )
    return found


def start(code: Path, program: str, run: MailRun) -> subprocess.CompletedProcess[str]:
    """`make run` of some checkout, which is expected to end by itself."""
    argv = [sys.executable, "-m", program]
    environ = {**run.run.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, cwd=code, env=environ, capture_output=True, text=True, timeout=180)


def test_a_newer_release_s_deployment_is_refused_before_anything_is_written() -> None:
    with mail_run() as run:
        unpack(RELEASES[0], run.directory)
        (run.directory / "control" / ".release").write_text("release 1000\n")
        before = everything(run.directory)
        done = start(ROOT, "supervise", run)
        assert done.returncode == 78
        assert (
            "this deployment belongs to release 1000" in done.stderr and "expected release 1000 or newer" in done.stderr
        )
        assert everything(run.directory) == before


def test_the_first_release_does_not_start_on_what_this_one_has_taken_over() -> None:
    commit = manifest("release-1")["commit"]
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
    if archive.returncode != 0:
        missing(f"commit {commit}, by git fetch --unshallow")
    with mail_run() as run:
        code = run.directory.parent / "first-release"
        code.mkdir()
        subprocess.run(["tar", "-x", "-C", str(code)], input=archive.stdout, check=True)
        unpack("release-1", run.directory)
        run.start()
        run.run.stop()
        before = everything(run.directory)
        done = start(code, "services.admin.run", run)
        run.run.process = None
        assert done.returncode == 78
        assert "the first release does not start on it any more" in done.stderr
        after = everything(run.directory)
        # It settles the owners of the log directories, and the mode of the cache, before it looks; here these are
        # others', and the next start of this release gives them back.
        taken = {name for name in before if after[name] != before[name]}
        logs = {"log", "log/qmail", "log/qmail-smtpd", "log/qmail-pop3d"}
        assert taken == {*logs, "imapcache"} and set(after) == set(before)
        assert {after[name] for name in logs} == {(S_IFDIR | 0o755, 0, 0, b"")}
        run.start()
        assert everything(run.directory)["imapcache"] == before["imapcache"]
        log = read_rights().roles["log"]
        assert {(path.lstat().st_uid, path.lstat().st_gid) for path in (run.directory / "log").rglob("*")} == {
            (log.uid, log.gid)
        }
