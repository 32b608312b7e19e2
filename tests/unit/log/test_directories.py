"""What a role sends is not believed: neither the name of its log nor its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.log.directories import LogDirectories, clean_lines

STAMP = "@400000006b0463760146ec5f"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (f"{STAMP} new msg 1\n{STAMP} end msg 1\n".encode(), f"{STAMP} new msg 1\n{STAMP} end msg 1\n"),
        (b"no stamp\n", ""),
        (f"{STAMP} \x1b[2Jgone\n".encode(), f"{STAMP} \\x1b[2Jgone\n"),
        (f"{STAMP} \xff\n".encode("latin-1"), f"{STAMP} \\xff\n"),
        (b"", ""),
    ],
)
def test_what_a_role_sends_is_not_believed(payload: bytes, expected: str) -> None:
    assert clean_lines(payload) == expected


def test_an_endless_line_is_cut() -> None:
    assert len(clean_lines(f"{STAMP} {'x' * 100_000}\n".encode())) < 5000


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "X", "a" * 40])
def test_a_name_that_is_no_log_is_not_written(tmp_path: Path, name: str) -> None:
    logs = LogDirectories(tmp_path / "log")
    logs.write(name, f"{STAMP} x\n".encode())
    logs.close()
    assert list(tmp_path.rglob("*")) == []


def test_there_is_an_end_to_the_number_of_logs(tmp_path: Path) -> None:
    logs = LogDirectories(tmp_path)
    for number in range(40):
        logs.write(f"log-{number}", f"{STAMP} x\n".encode())
    logs.close()
    assert len(list(tmp_path.iterdir())) == 32
