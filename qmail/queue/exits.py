"""qmail-queue's exit codes, and what whoever called it says of each (qmail-queue(8), qmail.c). Pure."""

from __future__ import annotations

from typing import Final

OK: Final = 0
ADDRESS_TOO_LONG: Final = 11
ADDRESS_WITH_CONTROLS: Final = 12  # ours
REJECTED: Final = 31
OUT_OF_MEMORY: Final = 51
TIMEOUT: Final = 52
WRITE_ERROR: Final = 53
READ_ERROR: Final = 54
NO_CONFIGURATION: Final = 55
NO_CONNECTION: Final = 56
FILES: Final = 65
REJECTED_FOR_NOW: Final = 71
CONNECTION_REJECTED: Final = 73
COMMUNICATION_FAILED: Final = 74
INTERNAL_BUG: Final = 81
BAD_ENVELOPE: Final = 91
#: No more is known than that it may work later.
TEMPORARY: Final = 111
UNABLE_TO_EXEC: Final = 120
#: None at all: it was killed, or hung up before its answer.
CRASHED: Final = -1

_ADDRESS_TOO_LONG = b"envelope address too long for qq (#5.1.3)"
_INTERNAL_BUG = b"qq internal bug (#4.3.0)"
_WORDS = {
    CRASHED: b"qq crashed (#4.3.0)",
    ADDRESS_TOO_LONG: _ADDRESS_TOO_LONG,
    ADDRESS_WITH_CONTROLS: b"envelope address with control characters (#5.1.3)",
    REJECTED: b"mail server permanently rejected message (#5.3.0)",
    OUT_OF_MEMORY: b"qq out of memory (#4.3.0)",
    TIMEOUT: b"qq timeout (#4.3.0)",
    WRITE_ERROR: b"qq write error or disk full (#4.3.0)",
    READ_ERROR: b"qq read error (#4.3.0)",
    NO_CONFIGURATION: b"qq unable to read configuration (#4.3.0)",
    NO_CONNECTION: b"qq trouble making network connection (#4.3.0)",
    61: b"qq trouble in home directory (#4.3.0)",
    **dict.fromkeys(range(62, 67), b"qq trouble creating files in queue (#4.3.0)"),
    REJECTED_FOR_NOW: b"mail server temporarily rejected message (#4.3.0)",
    72: b"connection to mail server timed out (#4.4.1)",
    CONNECTION_REJECTED: b"connection to mail server rejected (#4.4.1)",
    COMMUNICATION_FAILED: b"communication with mail server failed (#4.4.2)",
    INTERNAL_BUG: _INTERNAL_BUG,
    BAD_ENVELOPE: _INTERNAL_BUG,
    115: _ADDRESS_TOO_LONG,
    UNABLE_TO_EXEC: b"unable to exec qq (#4.3.0)",
}


def is_permanent(exit_code: int) -> bool:
    """Whether it is no use to try again."""
    return 11 <= exit_code <= 40 or exit_code == 115


def words(exit_code: int) -> bytes:
    """qmail.c's text, with its enhanced status code."""
    if exit_code < 0:
        return _WORDS[CRASHED]
    other = b"qq permanent problem (#5.3.0)" if is_permanent(exit_code) else b"qq temporary problem (#4.3.0)"
    return _WORDS.get(exit_code, other)
