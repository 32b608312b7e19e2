"""/etc/skel, of which new homes are copies (useradd(8)): of a container it lies on the volume of the accounts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from services.admin.directories import Directories
from services.admin.install import Installer

#: What Debian has in it; the image puts it aside.
OF_DEBIAN = Path("/usr/share/skel")


def make_skeleton(directories: Directories, installer: Installer, original: Path = OF_DEBIAN) -> None:
    """Make it where there is none, with what the image had; what becomes of it then is kept. Raises OSError."""
    place = Path(os.path.realpath(directories.skeleton))
    if directories.below_qmail_dir or place.is_dir():
        return
    aside = place.with_name(f".new.{place.name}")
    shutil.rmtree(aside, ignore_errors=True)
    if original.is_dir():
        shutil.copytree(original, aside, symlinks=True)
    installer.directory(aside, 0o755)
    os.rename(aside, place)
