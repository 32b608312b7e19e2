"""authcustom: any program with checkpassword's interface, as control/authcustom names it.

The program is started by a helper that can open neither auth's hashes nor its password for the bus, and inherits
neither. There are as many helpers as passwords are verified at once, and each runs one program at a time.
Source: checkpassword's interface, https://cr.yp.to/checkpwd/interface.html
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from services.auth.modules.landlock import NoLandlock, version
from services.auth.modules.module import ModuleError, NotSetUp, Verdict

#: What the program may read of descriptor 3.
MAX_INPUT_BYTES: Final = 512
#: A program that has not ended by then is killed: its answer is unknown.
PROGRAM_SECONDS: Final = 10.0
UNACCEPTABLE: Final = 1


class Custom:
    """The helpers, and one question to one of them. `close` ends them."""

    name = "authcustom"

    def __init__(self, command: bytes, hidden: Sequence[Path], helpers: int) -> None:
        """command: program and arguments, parted as a shell does; hidden: what it may not reach.

        Raises NotSetUp, ModuleError."""
        if not command:
            raise NotSetUp("control/authcustom names no program")
        try:
            argv = shlex.split(command.decode("utf-8", "surrogateescape"))
            version()
        except ValueError as error:
            raise ModuleError(f"control/authcustom:1: {error}; expected a program and its arguments") from error
        except NoLandlock as error:
            raise ModuleError(f"control/authcustom: {error}; its program could read the hashes of auth") from error
        if not argv or not argv[0].startswith("/"):
            raise ModuleError(
                "control/authcustom:1: expected a program by its whole path, as in /usr/bin/checkpassword"
            )
        self._helpers = [_Helper(argv, hidden) for _ in range(helpers)]
        self._free: SimpleQueue[_Helper] = SimpleQueue()
        for helper in self._helpers:
            self._free.put(helper)

    def version(self) -> Hashable:
        return None

    def missing(self, _service: str) -> str:
        if all(helper.is_there for helper in self._helpers):
            return ""
        return "authcustom: a helper that starts its program has ended; expected auth to be started again"

    def close(self) -> None:
        """End the helpers and what they run."""
        for helper in self._helpers:
            helper.close()

    def __call__(self, name: bytes, password: bytes, service: str) -> Verdict:
        return self.ask(name, password, b"", service)

    def ask(self, name: bytes, response: bytes, timestamp: bytes, service: str) -> Verdict:
        """What the program says of a password or, with a timestamp, of an APOP digest. It cannot tell a wrong password
        from a name that it does not know: both are UNKNOWN, and the next module is asked."""
        question = b"%s\0%s\0%s\0" % (name, response, timestamp)
        if len(question) > MAX_INPUT_BYTES:
            return Verdict.UNKNOWN
        with self._helper() as helper:
            code = helper.ask(question, service)
        if code == 0:
            return Verdict.YES
        return Verdict.UNKNOWN if code == UNACCEPTABLE else Verdict.TEMPORARY

    @contextmanager
    def _helper(self) -> Iterator[_Helper]:
        helper = self._free.get()
        try:
            yield helper
        finally:
            self._free.put(helper)


class _Helper:
    """One process `services.auth.checkpassword`."""

    def __init__(self, argv: Sequence[str], hidden: Sequence[Path]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        places = [str(path) for path in hidden]
        command = [sys.executable, "-P", "-s", "-m", "services.auth.checkpassword", str(theirs.fileno()), *places]
        self._process = subprocess.Popen([*command, "--", *argv], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    @property
    def is_there(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: bytes, service: str) -> int | None:
        """The program's exit code; None where there is none."""
        try:
            self._socket.send(service.encode() + b"\0" + question)
            answer = self._socket.recv(1)
        except OSError:
            return None
        return answer[0] if answer else None

    def close(self) -> None:
        self._socket.close()
        self._process.wait()
