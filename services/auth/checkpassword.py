"""authcustom's helper: starts the program that control/authcustom names, out of reach of what auth knows.

Started by `services.auth.modules.custom` as `python -m services.auth.checkpassword FD HIDDEN... -- PROGRAM...`; one
packet is one question, one byte the program's exit code. It ends when auth does, with whatever it runs.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.auth.modules.custom import MAX_INPUT_BYTES, PROGRAM_SECONDS
from services.auth.modules.landlock import hide

#: The exit code for what is not known: the program could not be started, or was killed (checkpassword's own).
TEMPORARY: Final = 111
_DESCRIPTOR: Final = 3
_MAX_SERVICE_BYTES: Final = 32
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What checkpassword runs where the password is right.
_RIGHT: Final = "/bin/true"


def serve(asked: socket.socket, argv: Sequence[str]) -> None:
    """Until the other end is closed."""
    while packet := asked.recv(MAX_INPUT_BYTES + _MAX_SERVICE_BYTES + 1):
        service, _, question = packet.partition(b"\0")
        try:
            code = run([*argv, _RIGHT], question, {"PATH": _PATH, "SERVICE": service.decode("ascii", "replace")}, asked)
        except OSError as error:
            print(f"authcustom: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
            code = TEMPORARY
        asked.send(bytes([code]))


def run(argv: list[str], question: bytes, environ: dict[str, str], asked: socket.socket) -> int:
    """The exit code of one program, which reads the question on descriptor 3. Raises OSError where it cannot be run.

    It is killed with whatever it has started when its time is over, or auth is gone."""
    reading, writing = os.pipe()
    os.write(writing, question)  # less than a pipe holds
    os.close(writing)
    high = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR + 10)
    os.close(reading)
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, high, _DESCRIPTOR),
    ]
    try:
        pid = os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsid=True)
    finally:
        os.close(high)
    return _wait(pid, asked)


def _wait(pid: int, asked: socket.socket) -> int:
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(asked, select.POLLHUP)
        events = poll.poll(PROGRAM_SECONDS * 1000)
        in_time = any(fd == ended for fd, _ in events)
    finally:
        os.close(ended)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has left nothing
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if in_time and code >= 0 else TEMPORARY


def main(arguments: Sequence[str]) -> int:
    """FD HIDDEN... -- PROGRAM ARGUMENT..."""
    places, argv = arguments[1 : arguments.index("--")], arguments[arguments.index("--") + 1 :]
    with socket.socket(fileno=int(arguments[0])) as asked:
        os.set_inheritable(asked.fileno(), False)
        # Ctrl-C reaches the whole group; auth decides when this ends.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        hide([Path(place) for place in places])
        serve(asked, argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
