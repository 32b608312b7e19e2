"""What a line of .qmail may be mistaken for (dot-qmail(5)). Pure."""

from __future__ import annotations

import re

_IN_BIN = re.compile(rb"/(?:.*/)?s?bin/[^/]+")


def is_program_without_bar(line: bytes) -> bool:
    """Whether it names an mbox where programs are, as /usr/local/bin/maildrop: a program is behind a bar."""
    return _IN_BIN.fullmatch(line.rstrip(b" \t")) is not None
