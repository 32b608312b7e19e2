"""The volumes that earlier releases left, unpacked for whoever starts on them, and what must be found there."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from services.admin.rights import read_rights

HERE = Path(__file__).resolve().parent
RELEASES = sorted(path.name.removesuffix(".tar.xz") for path in HERE.glob("*.tar.xz"))
# Where a container has what `make run` has below QMAIL_DIR.
PLACES = {
    "control": "var/qmail/control",
    "alias": "var/qmail/alias",
    "users": "var/qmail/users",
    "auth": "var/qmail/auth",
    "tls": "var/qmail/tls",
    "home": "home",
    "imapcache": "var/cache/imap",
    "log": "var/log",
    "bus": "var/lib/bus",
    "named": "var/named",
}
# These name the accounts' homes as they were where the volumes were made.
WITH_HOMES = ("users/assign", "users/passwd")


def manifest(release: str) -> dict[str, Any]:
    """What the release left (make_volumes.py)."""
    found: dict[str, Any] = json.loads((HERE / f"{release}.json").read_text(encoding="utf-8"))
    return found


def unpack(release: str, directory: Path) -> None:
    """As a directory of `make run`. Needs uid 0, for the owners."""
    directory.mkdir(parents=True)
    with tarfile.open(HERE / f"{release}.tar.xz") as tar:
        # Ours, and to be taken with its owners; Pythons before 3.11.4 know no filters, and take everything so.
        tar.extraction_filter = lambda member, path: member
        tar.extractall(directory, numeric_owner=True)
    made_at = manifest(release)["made at"]
    for name in WITH_HOMES:
        path = directory / name
        path.write_text(path.read_text().replace(made_at, str(directory)))


def for_containers(release: str) -> bytes:
    """As a tar of the places that admin's container has them in."""
    made_at = manifest(release)["made at"]
    out = io.BytesIO()
    with tarfile.open(HERE / f"{release}.tar.xz") as tar, tarfile.open(fileobj=out, mode="w") as target:
        for member in tar:
            place = _place(member.name)
            if place is None:
                continue
            data = tar.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            if member.name in WITH_HOMES:
                text = data.decode().replace(f"{made_at}/home", "/home")
                data = text.replace(f"{made_at}/alias", "/var/qmail/alias").encode()
            member.name, member.size = place, len(data)
            target.addfile(member, io.BytesIO(data) if member.isfile() else None)
    return out.getvalue()


def _place(name: str) -> str | None:
    top, *rest = PurePosixPath(name).parts
    if top != "credentials":
        return str(PurePosixPath(PLACES[top], *rest))
    if not rest:
        return None
    owner = _owner(rest[0])
    directory = "run/credentials" if owner == "admin" else f"var/lib/credentials/{owner}"
    return f"{directory}/{rest[0]}"


def _owner(file: str) -> str:
    """The container whose volume a credential lies in."""
    user = "queue" if file == "http.token" else PurePosixPath(file).stem
    role = read_rights().roles.get("admin" if user == "stat" else user)
    assert role is not None, file
    return role.part_of or role.name
