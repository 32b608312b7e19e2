"""Commands whose output somebody stops reading, as in `qmailctl queue | head`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

# What a shell shows for a program that SIGPIPE has ended. The signal itself is not for us: it would end a command for
# a connection that was closed, too.
SIGPIPE_CODE = 141


def ends_quietly(command: Callable[[], int]) -> int:
    """The command's exit code; SIGPIPE_CODE, without a word, where nobody reads its standard output any more."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # What is still in the buffer would be tried again at the end of the interpreter.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGPIPE_CODE
