"""A line put into, or taken out of, a control file that people edit: what else stands there stays as it is."""

from __future__ import annotations

from pathlib import Path

from services.admin.install import Installer


def add_line(path: Path, line: str, installer: Installer, *, instead: tuple[str, ...] = ()) -> bool:
    """Add a line unless it is there; `instead`: what a missing file stood for. Whether it was added. Raises OSError."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        text = "".join(f"{each}\n" for each in instead)
    if any(_same(each, line) for each in text.splitlines()):
        return False
    ended = text if not text or text.endswith("\n") else f"{text}\n"
    installer.file(path, f"{ended}{line}\n".encode("utf-8", "surrogateescape"), 0o644)
    return True


def remove_lines(path: Path, key: str, installer: Installer) -> bool:
    """Take out each line that is `key`, or begins with `key:`. Whether there was one. Raises OSError."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    except FileNotFoundError:
        return False
    kept = [line for line in lines if not (_same(line, key) or line.strip().lower().startswith(f"{key.lower()}:"))]
    if kept != lines:
        installer.file(path, "".join(kept).encode("utf-8", "surrogateescape"), 0o644)
    return kept != lines


def _same(one: str, other: str) -> bool:
    return one.strip().lower() == other.strip().lower()
