"""bouncesaying(1) and except(1): what another program says of the message decides what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

from services.programs.program import PERMANENT, TEMPORARY, Ends, Program, exit_code, fatal, is_temporary, start


def bouncesaying(arguments: Sequence[bytes]) -> int:
    """Bounce with the words given, if the program, where there is one, exits 0."""
    if not arguments:
        raise Ends(PERMANENT, b"bouncesaying: usage: bouncesaying error [ program [ arg ... ] ]")
    if len(arguments) > 1 and not holds(b"bouncesaying", arguments[1:]):
        return 0
    raise Ends(PERMANENT, arguments[0])


def except_(arguments: Sequence[bytes]) -> int:
    """The program's answer turned round: 0 becomes 100."""
    if not arguments:
        raise Ends(PERMANENT, b"except: usage: except program [ arg ... ]")
    return PERMANENT if holds(b"except", arguments) else 0


def holds(name: bytes, arguments: Sequence[bytes]) -> bool:
    """Whether a program exits 0. Raises Ends where it cannot say so now."""
    try:
        code = exit_code(name, start(arguments))
    except OSError as error:
        code = TEMPORARY if is_temporary(error) else PERMANENT
    if code == TEMPORARY:
        raise fatal(name, b"temporary child error")
    return code == 0


PROGRAMS: dict[str, Program] = {"bouncesaying": bouncesaying, "except": except_}
