"""What the scripts of .ci share: the network is tried again, the cache holds whole files, rm stays out of mounts."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import missing
from tests.support.source import ROOT

COMMON = ROOT / ".ci" / "common.sh"


def program(directory: Path, name: str, text: str) -> None:
    """A program that stands before the machine's own."""
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def environ(directory: Path) -> dict[str, str]:
    """With a cache of the test's own; pauses take no time."""
    program(directory, "sleep", "exit 0")
    path = f"{directory / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "QMAIL_CI_CACHE": str(directory / "cache"), "HERE": str(directory)}


def script(directory: Path, text: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    """A script that begins as those of .ci do."""
    argv = [*prefix, "bash", "-c", f'set -euo pipefail\n. "{COMMON}"\n{text}', "test"]
    return subprocess.run(argv, env=environ(directory), capture_output=True, text=True, timeout=60, check=False)


def calls(directory: Path) -> list[str]:
    """What apt-get was asked for, by its first word."""
    return [line.split()[0] for line in (directory / "calls").read_text().splitlines()]


APT = 'echo "$@" >>"$HERE/calls"; [ "$(grep -c "^$1" "$HERE/calls")" -ge {succeeds} ]'


@pytest.mark.parametrize(("succeeds", "code"), [(1, 0), (3, 0), (4, 100)])
def test_an_installation_is_tried_three_times(tmp_path: Path, succeeds: int, code: int) -> None:
    program(tmp_path, "apt-get", f"{APT.format(succeeds=succeeds)} || exit 100")
    done = script(tmp_path, "install_packages mutt swaks")
    assert bool(done.returncode) == bool(code), done.stderr
    tries = min(succeeds, 3)
    assert calls(tmp_path) == ["update"] * tries + ["install"] * tries
    asked = (tmp_path / "calls").read_text().splitlines()
    assert "APT::Update::Error-Mode=any" in asked[0] and asked[-1].endswith("mutt swaks")


def test_what_an_installation_said_is_told_when_it_fails(tmp_path: Path) -> None:
    program(tmp_path, "apt-get", 'echo "E: no room left" >&2; exit 100')
    done = script(tmp_path, "install_packages mutt")
    assert done.returncode != 0 and "E: no room left" in done.stderr
    assert "test: installing mutt" in done.stderr and "going on with the lists that are here" in done.stderr


def test_what_is_kept_is_whole(tmp_path: Path) -> None:
    text = 'make() { echo half >"$1"; chmod +x "$1"; %s; echo whole >"$1"; }\nkept "$cache/tool" make'
    kept = tmp_path / "cache" / "tool"
    assert script(tmp_path, text % "return 1").returncode != 0
    assert not kept.exists()
    assert script(tmp_path, text % "true").returncode == 0
    assert kept.read_text() == "whole\n"
    assert script(tmp_path, text % "return 1").returncode == 0, "it is not made again"


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    argv = ["bash", "-c", f'set -euo pipefail; . "{COMMON}"; one_at_a_time; echo mine', "test"]
    with open(tmp_path / "cache" / "lock", "w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = subprocess.Popen(
            argv, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "waiting" in second.stderr.readline()
        assert second.poll() is None
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, said) == (0, "mine\n")


# In a namespace of mounts of its own; `elsewhere` is what rm must not find.
MOUNTED = """
mkdir -p "$cache/root/proc" "$HERE/elsewhere"
touch "$HERE/elsewhere/file"
mount --bind "$HERE/elsewhere" "$cache/root/proc" || exit 99
remove_root "$cache/root"
"""


def removed(directory: Path) -> subprocess.CompletedProcess[str]:
    done = script(directory, MOUNTED, "unshare", "--mount")
    if done.returncode == 99 or "unshare" in done.stderr:
        missing(f"a mount namespace: {done.stderr}")
    assert (directory / "elsewhere" / "file").exists()
    return done


@pytest.mark.root(reason="only root mounts")
def test_what_a_killed_run_left_mounted_is_unmounted_before_the_directory_is_removed(tmp_path: Path) -> None:
    done = removed(tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cache" / "root").exists()


@pytest.mark.root(reason="only root mounts")
def test_a_directory_with_a_mount_that_stays_is_not_removed(tmp_path: Path) -> None:
    program(tmp_path, "umount", "exit 32")
    done = removed(tmp_path)
    assert done.returncode != 0 and "is not removed: still mounted" in done.stderr
    assert (tmp_path / "cache" / "root" / "proc").exists()
