"""A directory for each log, and no more of them than there may be."""

from __future__ import annotations

from pathlib import Path

from qmail.bus.talk.log_lines import LogLines
from services.log.directories import LogDirectories

STAMP = "@400000006b0463760146ec5f"


def test_lines_are_written_whole_to_the_log_of_their_name(tmp_path: Path) -> None:
    logs = LogDirectories(tmp_path)
    logs.write(LogLines("qmail", (f"{STAMP} new msg 1", f"{STAMP} end msg 1")))
    logs.close()
    assert (tmp_path / "qmail/current").read_text() == f"{STAMP} new msg 1\n{STAMP} end msg 1\n"


def test_without_a_line_there_is_no_log(tmp_path: Path) -> None:
    logs = LogDirectories(tmp_path / "log")
    logs.write(LogLines("qmail", ()))
    logs.close()
    assert list(tmp_path.rglob("*")) == []


def test_there_is_an_end_to_the_number_of_logs(tmp_path: Path) -> None:
    logs = LogDirectories(tmp_path)
    for number in range(40):
        logs.write(LogLines(f"log-{number}", (f"{STAMP} x",)))
    logs.close()
    assert len(list(tmp_path.iterdir())) == 32
