"""A log directory: lines whole and once, files finished by size, whatever fails in between."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.log.multilog import Multilog

STAMP = "@400000006b0463760146ec5f"


def test_lines_go_to_current_and_full_files_are_finished(tmp_path: Path) -> None:
    log = Multilog(tmp_path, max_bytes=100, max_files=2)
    for number in range(10):
        log.write(f"{STAMP} line {number} {'x' * 30}\n")
    log.close()
    finished = sorted(tmp_path.glob("@*.s"))
    assert len(finished) == 2
    assert all(path.stat().st_mode & 0o777 == 0o744 and path.stat().st_size <= 100 for path in finished)
    text = "".join(path.read_text() for path in (*finished, tmp_path / "current"))
    assert text.endswith(f"line 9 {'x' * 30}\n")


def test_a_directory_is_written_on_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2):
        log = Multilog(tmp_path)
        log.write(f"{STAMP} {number}\n")
        log.close()
    assert (tmp_path / "current").read_text() == f"{STAMP} 1\n{STAMP} 2\n"


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file grows beyond `size`: a write ends there, and the next one fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_that_fit_only_in_part_are_not_written_at_all(tmp_path: Path) -> None:
    log, line = Multilog(tmp_path), f"{STAMP} {'x' * 30}\n"
    log.write(line)
    with full_after(len(line) + 10), pytest.raises(OSError, match="current"):
        log.write(line)
    assert (tmp_path / "current").read_text() == line
    log.write(line)
    log.close()
    assert (tmp_path / "current").read_text() == line + line


def test_after_a_file_that_could_not_be_finished_it_goes_on(tmp_path: Path) -> None:
    log, line = Multilog(tmp_path, max_bytes=60), f"{STAMP} {'x' * 30}\n"
    log.write(line)
    # Somebody has made room with rm.
    (tmp_path / "current").unlink()
    with pytest.raises(FileNotFoundError):
        log.write(line)
    log.write(line)
    log.close()
    assert (tmp_path / "current").read_text() == line
