"""`qmailctl cdb`: smtpd reads tcp.smtp as text at each change; what is left of tcprules is its check."""

from __future__ import annotations

import re

# One setting of a rule: VAR, then a value between two delimiters of any kind (tcprules(1)).
_SETTING = re.compile(r",[A-Za-z_][A-Za-z0-9_]*=(.)")


def first_bad_line(text: str) -> str | None:
    """The first line that tcprules would not take, None where all are good."""
    for line in text.splitlines():
        rule = line.rstrip()
        if not rule or rule.startswith("#"):
            continue
        _, colon, instruction = rule.partition(":")
        if not colon or not _good(instruction):
            return line
    return None


def _good(instruction: str) -> bool:
    for word in ("allow", "deny"):
        if instruction.startswith(word):
            return _good_settings(instruction[len(word) :])
    return False


def _good_settings(rest: str) -> bool:
    while rest:
        found = _SETTING.match(rest)
        if found is None:
            return False
        end = rest.find(found[1], found.end())
        if end < 0:
            return False
        rest = rest[end + 1 :]
    return True
