"""Log directories: whole stamped lines, rotated by size, and nothing that a role should not be able to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.bus.ports import Message
from services.admin.logger import Logger, clean_lines
from services.admin.multilog import Multilog

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


class Recorder:
    """What the logger needs of a bus, without a server."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, str]] = []

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        self.sent.append((subject, payload, reply))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "X", "a" * 40])
def test_a_name_that_is_no_log_is_not_written(tmp_path: Path, name: str) -> None:
    logger = Logger(Recorder(), tmp_path / "log")  # type: ignore[arg-type]
    logger._outstanding = 5
    logger._receive(Message(f"event.log.{name}", f"{STAMP} x\n".encode(), "$JS.ACK.EVENTS.log.1.1.1.1.0"))
    logger.close()
    assert list(tmp_path.rglob("*")) == []


def test_a_line_that_cannot_be_written_is_not_acknowledged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "qmail").write_text("in the way")
    bus = Recorder()
    logger = Logger(bus, tmp_path)  # type: ignore[arg-type]
    logger._outstanding = 5
    logger._receive(Message("event.log.qmail", f"{STAMP} x\n".encode(), "$JS.ACK.EVENTS.log.1.1.1.1.0"))
    assert bus.sent == []
    assert "event.log.qmail" in capsys.readouterr().err
