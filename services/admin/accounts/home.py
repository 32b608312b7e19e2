"""A new account's home: 0700, with a Maildir (maildir(5), maildirmake) and what the skeleton holds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from services.admin.accounts.assign import User
from services.admin.install import Installer, sync_directory

MAILDIR = ("Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp")


def make_home(user: User, skeleton: Path, installer: Installer) -> None:
    """Make what is missing of the home, aside, then rename it into place. Raises OSError."""
    if user.home.exists():
        _fill(user.home, user, installer)
        return
    aside = user.home.parent / f".new.{user.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    if skeleton.is_dir():
        shutil.copytree(skeleton, aside, dirs_exist_ok=True, symlinks=True)
        _own_all(aside, user, installer)
    _fill(aside, user, installer)
    os.rename(aside, user.home)
    sync_directory(user.home.parent)


def _fill(home: Path, user: User, installer: Installer) -> None:
    for name in MAILDIR:
        installer.directory(home / name, 0o700, user.uid, user.uid)
    # Last: the home itself, so that nobody but root is in it while it is being made.
    installer.settle(home, 0o700, user.uid, user.uid)


def _own_all(top: Path, user: User, installer: Installer) -> None:
    if not installer.per_user:
        return
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            os.chown(os.path.join(directory, name), user.uid, user.uid, follow_symlinks=False)
