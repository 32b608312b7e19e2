"""Whatever a stranger wrote is shown as printable characters, each in its line."""

from __future__ import annotations

import logging

import pytest

from qmail.log.log import Log
from qmail.message.printable import PrintableFormatter, printable, printable_lines

OCTETS = [bytes([octet]) for octet in range(256)]


@pytest.mark.parametrize("octet", OCTETS)
def test_every_octet_is_shown_as_itself_or_escaped(octet: bytes) -> None:
    shown = printable(b"a" + octet + b"b")
    assert shown.isprintable() and shown[0] == "a" and shown[-1] == "b"
    assert shown == (f"a{octet.decode()}b" if 0x20 <= octet[0] < 0x7F else f"a\\x{octet[0]:02x}b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("joni@xeris.com", "joni@xeris.com"),
        ("påske@é.example", "påske@é.example"),
        ("påske".encode(), "påske"),
        (b"\xe9", "\\xe9"),
        ("\udce9", "\\xe9"),
        ("moc.\u202eexe", "moc.\\u202eexe"),
        ("\u009b2J", "\\u009b2J"),
        ("\u2028\u0085", "\\u2028\\u0085"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud83d", "\\ud83d"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("a\r\nb", "a\\x0d\\x0ab"),
    ],
)
def test_what_is_not_printable_is_escaped(text: bytes | str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown, "done twice it does no harm"


def test_a_text_of_several_lines_keeps_them() -> None:
    assert printable_lines(b"one\ntwo\r\n\x1bthree\n") == "one\ntwo\\x0d\n\\x1bthree\n"


@pytest.mark.parametrize("octet", OCTETS)
def test_a_log_line_stays_one_printable_line(octet: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    Log("test").line("from <" + octet.decode("utf-8", "surrogateescape") + ">")
    written = capfd.readouterr().out
    assert written.count("\n") == 1 and written[:-1].isprintable()


def test_a_traceback_is_printable() -> None:
    try:
        raise ValueError("\x1b]0;x\x07")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "of %s", ("\x9b",), (type(error), error, None))
    assert PrintableFormatter().format(record).replace("\n", "").isprintable()
