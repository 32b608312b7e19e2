"""Log lines on the bus: their golden bytes; neither the name of a log nor its lines are believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.talk import log_lines
from qmail.bus.talk.log_lines import GROUP_LINES, LogLines
from qmail.bus.talk.messages import Malformed
from qmail.log.log import Log

GOLDEN = Path(__file__).parents[2] / "golden" / "log-lines.txt"
STAMP = "@400000006b0463760146ec5f"
SUBJECT = "event.log.qmail"


def test_lines_are_as_in_their_golden_file() -> None:
    lines = (f"{STAMP} new msg 1", f"{STAMP} end msg 1")
    assert log_lines.encode(lines) == GOLDEN.read_bytes()
    assert log_lines.decode(SUBJECT, GOLDEN.read_bytes()) == LogLines("qmail", lines)


def test_a_role_says_its_lines_in_groups_of_its_log(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[tuple[str, bytes]] = []
    log = Log("qmail-smtpd")
    log_lines.attach(log, lambda subject, payload: said.append((subject, payload)))
    log._pending = [f"{STAMP} {number}" for number in range(GROUP_LINES + 1)]
    log.flush()
    capfd.readouterr()
    events = [log_lines.decode(*each) for each in said]
    assert [(event.name, len(event.lines)) for event in events] == [("qmail-smtpd", GROUP_LINES), ("qmail-smtpd", 1)]
    log.line("new msg 2")
    (last,) = log_lines.decode(*said[-1]).lines
    assert last.endswith(" new msg 2") and capfd.readouterr().out == "new msg 2\n"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (f"{STAMP} new msg 1\n{STAMP} end msg 1\n".encode(), (f"{STAMP} new msg 1", f"{STAMP} end msg 1")),
        (b"no stamp\n", ()),
        (f"{STAMP} \x1b[2Jgone\n".encode(), (f"{STAMP} \\x1b[2Jgone",)),
        (f"{STAMP} \xff\n".encode("latin-1"), (f"{STAMP} \\xff",)),
        (b"", ()),
    ],
)
def test_what_a_role_sends_is_not_believed(payload: bytes, expected: tuple[str, ...]) -> None:
    assert log_lines.decode(SUBJECT, payload).lines == expected


def test_an_endless_line_is_cut() -> None:
    (line,) = log_lines.decode(SUBJECT, f"{STAMP} {'x' * 100_000}\n".encode()).lines
    assert len(line) < 5000


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "X", "a" * 40, "a\n"])
def test_a_name_that_is_no_log_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        log_lines.decode(f"event.log.{name}", f"{STAMP} x\n".encode())


@given(st.text(max_size=20), st.binary(max_size=100))
def test_nothing_breaks_the_decoder(name: str, payload: bytes) -> None:
    try:
        lines = log_lines.decode(f"event.log.{name}", payload).lines
    except Malformed:
        return
    assert all(line.isprintable() and line.startswith("@") for line in lines)
