"""sendmail's command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qmail.control.files import Control
from services.inject.replies import Fatal
from services.inject.sendmail import to_inject
from services.inject.settings import read_settings
from tests.support.source import ROOT


@pytest.mark.parametrize(
    ("arguments", "inject", "environment"),
    [
        ([b"-t"], [b"-H", b"--"], {}),
        ([b"-ti", b"-oi", b"-f", b"a@b", b"c"], [b"-H", b"-f", b"a@b", b"--", b"c"], {}),
        ([b"-oem", b"-fa@b", b"-x", b"c", b"-t"], [b"-a", b"-f", b"a@b", b"--", b"c", b"-t"], {}),
        ([b"-F", b"A B", b"-bm", b"c"], [b"-a", b"--", b"c"], {b"MAILNAME": b"A B"}),
        ([b"-Exyz", b"-Jt", b"--", b"-c"], [b"-a", b"--", b"-c"], {}),
        # As cron, PHP, git and printers call it; -f with nothing, with brackets, as the null sender.
        ([b"-i", b"-B8BITMIME", b"-oem", b"-f", b"<>", b"c"], [b"-a", b"-f", b"", b"--", b"c"], {}),
        ([b"-f<a@b>", b"c"], [b"-a", b"-f", b"a@b", b"--", b"c"], {}),
        ([b"-f", b"", b"c"], [b"-a", b"-f", b"", b"--", b"c"], {}),
        ([b"-r", b"a@b", b"c"], [b"-a", b"-f", b"a@b", b"--", b"c"], {}),
        ([b"-N", b"never", b"-R", b"hdrs", b"-V", b"id1", b"c"], [b"-a", b"--", b"c"], {}),
        ([b"-Nsuccess,delay,failure", b"-Rfull", b"c"], [b"-a", b"--", b"c"], {}),
        ([b"-G", b"-U", b"-n", b"-h", b"3", b"-L", b"tag", b"-O", b"Timeout=1", b"c"], [b"-a", b"--", b"c"], {}),
        ([b"-X", b"/dev/null", b"-C/etc/mail.cf", b"c"], [b"-a", b"--", b"c"], {}),
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
        (b"sendmail", [b"-q"], b"sendmail: fatal: -q is not offered here; use qmailctl doqueue\n"),
        (b"sendmail", [b"-q30m"], b"sendmail: fatal: -q is not offered here"),
        (b"sendmail", [b"-W"], b"sendmail: illegal option -- W\nsendmail: usage: "),
        (b"sendmail", [b"-N", b"sometimes", b"c"], b"sendmail: invalid argument -- N sometimes\nsendmail: usage: "),
        (b"sendmail", [b"-R", b"all", b"c"], b"sendmail: invalid argument -- R all\nsendmail: usage: "),
        (b"sendmail", [b"-f"], b"sendmail: option requires an argument -- f\nsendmail: usage: "),
    ],
)
def test_refusals(program: bytes, arguments: list[bytes], text: bytes) -> None:
    with pytest.raises(Fatal) as caught:
        to_inject(program, arguments, {})
    assert caught.value.code == 100
    assert caught.value.text.startswith(text)


@pytest.mark.parametrize(
    ("name", "arguments", "program", "words"),
    [
        ("mailq", [], "qmail-qread", ""),
        ("sendmail", ["-bp"], "qmail-qread", ""),
        ("sendmail", ["-q"], "qmailctl", "doqueue"),
    ],
)
def test_the_queue_is_listed_and_tried_where_there_is_a_program_for_it(
    tmp_path: Path, name: str, arguments: list[str], program: str, words: str
) -> None:
    environ = {**os.environ, "QMAIL_DIR": str(tmp_path), "SENDMAIL_NAME": name}
    command = [sys.executable, "-m", "services.inject.sendmail", *arguments]
    refused = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (100, "") and "use qmailctl" in refused.stderr
    stand_in = tmp_path / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\necho $0 $*\n")
    stand_in.chmod(0o755)
    assert subprocess.check_output(command, env=environ, cwd=ROOT, text=True).split() == [str(stand_in), *words.split()]


@pytest.mark.parametrize("octet", [*(octet for octet in range(1, 0x20) if octet != 9), 0x7F])
@pytest.mark.parametrize("name", [b"QMAILNAME", b"QMAILUSER", b"QMAILHOST", b"QMAILSUSER", b"QMAILIDHOST"])
def test_a_name_from_a_web_form_makes_no_header_line(tmp_path: Path, name: bytes, octet: int) -> None:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    environ = {b"QMAILUSER": b"ari", name: b"a" + bytes([octet]) + b"X-Injected: yes"}
    settings = read_settings(environ, Control(tmp_path))
    for value in (settings.name, settings.user, settings.host, settings.return_user, settings.id_host):
        assert value is None or not set(value) & ({*range(0x20), 0x7F} - {9})
