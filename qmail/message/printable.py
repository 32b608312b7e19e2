"""Text from outside made fit to be shown: addresses, replies of far hosts, file names, whatever a stranger wrote.

A terminal obeys what it is sent, and a log has one event a line: so what is shown is printable characters alone.
Everything else stands there escaped, as `\\x1b`, `\\u202e` or, an octet that is no UTF-8, `\\xff`. What is printable
already is not changed, a backslash neither, so that it does no harm to call this twice.
"""

from __future__ import annotations

import logging

# U+DC80 to U+DCFF stand for octets that are no UTF-8 (PEP 383, as in os.fsdecode).
_OCTETS = range(0xDC80, 0xDD00)


def printable(text: bytes | str) -> str:
    """One line of printable characters (str.isprintable: no controls, no formats such as U+202E, no line ends)."""
    if not isinstance(text, str):
        text = text.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else "".join([c if c.isprintable() else _escaped(ord(c)) for c in text])


def printable_lines(text: bytes | str) -> str:
    """The same for a text of several lines, whose newlines stay."""
    if not isinstance(text, str):
        text = text.decode("utf-8", "surrogateescape")
    return "\n".join(map(printable, text.split("\n")))


def _escaped(code: int) -> str:
    if code in _OCTETS:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class PrintableFormatter(logging.Formatter):
    """logging's records, tracebacks too, as printable lines."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))
