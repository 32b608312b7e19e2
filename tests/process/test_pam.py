"""authpam with the machine's real PAM (pam_unix over a shadow file): right, wrong, unknown, locked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import missing
from tests.support.source import ROOT

# crypt(5), SHA-512, of `jonipass`.
HASH = "$6$xeris$PwM.W9nJDgJ0WrwpnkMsa8W7HXUkiiuRsIjh8rGOXUEC/ZQOhqB2PYya89b0ANi23.HwVnAXcmbknSDsa7XWY."
FILES = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\njoni:x:2001:2001::/:/bin/sh\ndiva:x:2002:2002::/:/bin/sh\n",
    "shadow": f"root:*:19000:0:99999:7:::\njoni:{HASH}:19000:0:99999:7:::\ndiva:!{HASH}:19000:0:99999:7:::\n",
    "pam.d/pop3": "auth required pam_unix.so nodelay\naccount required pam_unix.so\n",
    "nsswitch.conf": "passwd: files\nshadow: files\n",
}
ASK = """
import json, sys
from services.auth.modules.system_pam import Pam
pam = Pam()
for name, password, service in json.load(sys.stdin):
    print(pam(name.encode(), password.encode("latin-1"), service).name)
"""
# A namespace of mounts of its own: this machine's files stay as they are.
SHELL = (
    'for f in passwd shadow nsswitch.conf pam.d; do mount --bind "$1/$f" "/etc/$f" || exit 99; done; shift; exec "$@"'
)


def answers(directory: Path, questions: list[tuple[str, str, str]]) -> list[str]:
    """What authpam says to each (name, password, service)."""
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (directory / "shadow").chmod(0o600)
    command = ["unshare", "--mount", "sh", "-c", SHELL, "sh", str(directory), sys.executable, "-c", ASK]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(questions), capture_output=True, text=True)
    if done.returncode == 99 or "unshare" in done.stderr:
        missing(f"a mount namespace: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.root(reason="auth has it too")
def test_pam_decides_by_its_own_rules(tmp_path: Path) -> None:
    questions = [
        ("joni", "jonipass", "pop3"),
        ("joni", "wrong", "pop3"),
        ("joni", "", "pop3"),
        ("joni", "joni\xe9pass", "pop3"),
        ("diva", "jonipass", "pop3"),
        ("sarah", "jonipass", "pop3"),
        ("joni", "jonipass", "telnet"),
    ]
    assert answers(tmp_path, questions) == ["YES", "NO", "NO", "NO", "NO", "UNKNOWN", "UNKNOWN"]
