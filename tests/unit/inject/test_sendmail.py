"""sendmail's command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.inject.replies import Fatal
from services.inject.sendmail import to_inject
from tests.support.source import ROOT


@pytest.mark.parametrize(
    ("arguments", "inject", "environment"),
    [
        ([b"-t"], [b"-H", b"--"], {}),
        ([b"-ti", b"-oi", b"-f", b"a@b", b"c"], [b"-H", b"-f", b"a@b", b"--", b"c"], {}),
        ([b"-oem", b"-fa@b", b"-x", b"c", b"-t"], [b"-a", b"-f", b"a@b", b"--", b"c", b"-t"], {}),
        ([b"-F", b"A B", b"-bm", b"c"], [b"-a", b"--", b"c"], {b"MAILNAME": b"A B"}),
        ([b"-Exyz", b"-Jt", b"--", b"-c"], [b"-a", b"--", b"-c"], {}),
    ],
)
def test_translation(arguments: list[bytes], inject: list[bytes], environment: dict[bytes, bytes]) -> None:
    assert to_inject(b"sendmail", arguments, {}) == (inject, environment)


@pytest.mark.parametrize(
    ("program", "arguments", "text"),
    [
        (b"sendmail", [b"-bs"], b"sendmail: fatal: -bs is not offered here; speak SMTP"),
        (b"sendmail", [b"-bp"], b"sendmail: fatal: -bp is not offered here"),
        (b"mailq", [], b"sendmail: fatal: -bp is not offered here"),
        (b"newaliases", [], b"sendmail: fatal: please use fastforward/newaliases instead\n"),
        (b"sendmail", [b"-bd"], b"sendmail: usage: sendmail [ -t ]"),
        (b"sendmail", [b"-q"], b"sendmail: illegal option -- q\nsendmail: usage: "),
        (b"sendmail", [b"-f"], b"sendmail: option requires an argument -- f\nsendmail: usage: "),
    ],
)
def test_refusals(program: bytes, arguments: list[bytes], text: bytes) -> None:
    with pytest.raises(Fatal) as caught:
        to_inject(program, arguments, {})
    assert caught.value.code == 100
    assert caught.value.text.startswith(text)


def test_mailq_is_qmail_qread_where_there_is_one(tmp_path: Path) -> None:
    environ = {**os.environ, "QMAIL_DIR": str(tmp_path), "SENDMAIL_NAME": "mailq"}
    command = [sys.executable, "-m", "services.inject.sendmail"]
    refused = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (100, "") and "use qmailctl queue" in refused.stderr
    lister = tmp_path / "bin" / "qmail-qread"
    lister.parent.mkdir()
    lister.write_text("#!/bin/sh\necho listed by $0\n")
    lister.chmod(0o755)
    assert subprocess.check_output(command, env=environ, cwd=ROOT, text=True) == f"listed by {lister}\n"
