"""The commands of the image: which program a name starts, and who sends where nobody has said it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.source import ROOT

WRAPPER = ROOT / "services" / "inject" / "wrapper.sh"


def call(directory: Path, name: str, **environ: str) -> list[str]:
    """What would be started: module, name, and USER."""
    python = directory / "python"
    python.write_text('#!/bin/sh\necho "$5 $SENDMAIL_NAME ${USER-nobody} $6"\n')
    python.chmod(0o755)
    command = directory / name
    command.write_text(WRAPPER.read_text().replace("/opt/venv/bin/python", str(python)))
    command.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run([str(command), "-t"], env=environ, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("qmail-inject", "services.inject"),
        ("qmail-queue", "services.inject.qmail_queue"),
        ("qmail-qmqpc", "services.inject.qmqpc"),
        ("qreceipt", "services.inject.qreceipt"),
        ("sendmail", "services.inject.sendmail"),
        ("mailq", "services.inject.sendmail"),
    ],
)
def test_a_name_starts_its_program(tmp_path: Path, name: str, module: str) -> None:
    assert call(tmp_path, name, USER="joni") == [module, name, "joni", "-t"]


def test_whoever_calls_sends_where_no_login_has_said_it(tmp_path: Path) -> None:
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert call(tmp_path, "qmail-inject")[2] == user


@pytest.mark.parametrize("variable", ["QMAILUSER", "MAILUSER", "LOGNAME"])
def test_what_was_said_is_left_alone(tmp_path: Path, variable: str) -> None:
    assert call(tmp_path, "qmail-inject", **{variable: "joni"})[2] == "nobody"
