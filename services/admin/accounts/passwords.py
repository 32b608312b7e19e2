"""Password hashes: one line `name:hash` an account, for auth alone."""

from __future__ import annotations

from pathlib import Path

from qmail.accounts.hasher import HASHER
from services.admin.install import Installer

MAX_PASSWORD_BYTES = 1000
LOCKED = "!"


def hash_password(password: str) -> str:
    """Raises ValueError for a password that is empty, too long, or has a control character in it."""
    if not password:
        raise ValueError("the password is empty; expected at least one character")
    if len(password.encode("utf-8", "surrogateescape")) > MAX_PASSWORD_BYTES:
        raise ValueError(f"the password is too long; expected at most {MAX_PASSWORD_BYTES} bytes")
    if any(ord(character) < 32 or ord(character) == 127 for character in password):
        raise ValueError("the password has a control character in it; expected printable characters")
    return HASHER.hash(password.encode("utf-8", "surrogateescape"))


def read_hashes(path: Path) -> dict[str, str]:
    """Name -> hash. Raises ValueError with file and line for a line that is not `name:hash`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not (name and colon):
            raise ValueError(f"{path}:{number}: expected name:hash")
        hashes[name] = value
    return hashes


def write_hashes(path: Path, hashes: dict[str, str], installer: Installer) -> None:
    """Replace the whole file at once. Raises OSError."""
    text = "".join(f"{name}:{value}\n" for name, value in hashes.items())
    installer.file(path, text.encode(), 0o400)
