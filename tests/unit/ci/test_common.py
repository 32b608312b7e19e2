"""What the scripts of .ci share: the network is tried again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

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
