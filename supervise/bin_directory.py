"""QMAIL_DIR/bin: the programs that an image has in /var/qmail/bin, for `.qmail` lines and for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from services.admin.commands.bin import PROGRAMS as OF_ADMIN
from services.admin.directories import REPOSITORY
from services.admin.install import Installer
from services.programs.__main__ import PROGRAMS as OF_USERS
from supervise.interpreter import python_path

SERVICES = REPOSITORY / "services"
SCRIPTS = SERVICES / "programs" / "scripts"
# Each told by its name to services/inject/wrapper.sh.
INJECT = ("qmail-inject", "qmail-queue", "qmail-qmqpc", "qreceipt", "sendmail", "mailq")
#: Of the machine; and what delivery-local is started by where it says nothing: users' programs see ours in its place.
MACHINES_MAILDROPRC = Path("/etc/maildroprc")
_PUT_OVER = 'mount --bind "$1" "$2" || echo "run: $2: maildrop has the default of the machine" >&2; shift 2; exec "$@"'
# Where the image has its code and its Python.
_CODE, _PYTHON = "/opt/qmail", "/opt/venv/bin/python"
_DEPLOYMENT = """if [ -r "$QMAIL_DIR/run/deployment" ]; then
    while IFS='=' read -r name value; do export "$name=$value"; done <"$QMAIL_DIR/run/deployment"
fi
"""


def make_bin(directory: Path, python: str, installer: Installer) -> Path:
    """Make QMAIL_DIR/bin for a deployment below `directory`, whose roles run `python`; its place. Raises OSError."""
    place = directory / "bin"
    installer.directory(place, 0o755)
    for name, text in _programs(directory, python):
        installer.file(place / name, text.encode(), 0o755)
    return place


def make_maildroprc(directory: Path, installer: Installer) -> Path:
    """Make QMAIL_DIR/maildroprc; its place. Raises OSError."""
    text = (SERVICES / "programs" / "maildroprc").read_text(encoding="utf-8")
    place = directory / "maildroprc"
    installer.file(place, text.replace("/var/qmail", str(directory)).encode(), 0o644)
    return place


def with_maildroprc(directory: Path, argv: Sequence[str]) -> tuple[str, ...]:
    """The command with QMAIL_DIR/maildroprc in the place of a machine's /etc/maildroprc that says nothing, in a mount
    namespace of its own (unshare(1)); for uid 0. As it is where there is no maildrop, or the file says something."""
    try:
        lines = MACHINES_MAILDROPRC.read_text(errors="replace").splitlines()
    except OSError:
        return tuple(argv)
    if any(line.strip()[:1] not in ("", "#") for line in lines):
        return tuple(argv)
    ours = str(directory / "maildroprc")
    own_mounts = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", _PUT_OVER, "sh")
    return (*own_mounts, ours, str(MACHINES_MAILDROPRC), *argv)


def _programs(directory: Path, python: str) -> Iterator[tuple[str, str]]:
    head = f': "${{QMAIL_DIR:={shlex.quote(str(directory))}}}"\nexport QMAIL_DIR\n'
    for script in sorted(SCRIPTS.iterdir()):
        yield script.name, script.read_text(encoding="utf-8")
    yield from _wrapped(OF_USERS, SERVICES / "programs", head, python)
    yield from _wrapped(INJECT, SERVICES / "inject", head, python)
    yield from _wrapped(("qmailctl", *OF_ADMIN), SERVICES / "admin", head + _DEPLOYMENT, python)


def _wrapped(names: Iterable[str], room: Path, head: str, python: str) -> Iterator[tuple[str, str]]:
    """The image's wrapper, which tells its programs by their names, with this deployment's places."""
    first, _, rest = (room / "wrapper.sh").read_text(encoding="utf-8").partition("\n")
    code = rest.replace(_CODE, shlex.quote(python_path())).replace(_PYTHON, shlex.quote(python))
    for name in names:
        yield name, f"{first}\n{head}{code}"
