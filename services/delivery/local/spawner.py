"""The spawner: a small process with one thread that runs the programs of `|` lines, each without a network unless its
account may have one, and ends with each what it has left in the background.

Started by `spawn.Spawner` as `python -m services.delivery.local.spawner FD`, because forking the delivery process
itself, with its threads and its memory, is slow and unsafe. When delivery goes away, what still runs is killed: the
message will be delivered again.
"""

from __future__ import annotations

import array
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.delivery.local.orphans import Orphan, adopt_orphans, orphans
from services.delivery.local.program import become, die_with_parent, execute
from services.delivery.local.sandbox import NoSandbox, without_network
from services.delivery.local.spawn_wire import (
    MAX_OUTPUT_BYTES,
    MAX_PACKET_BYTES,
    Ended,
    Program,
    decode_program,
    encode_ended,
)

_MEMORY_BYTES: Final = 1024 * 1024 * 1024
_PROCESSES: Final = 128
_DISCARD_BYTES: Final = 65536
# Between two looks whether what was killed has ended.
_REAP_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Child:
    """A running program."""

    number: int
    uid: int
    pid: int
    pidfd: int
    pipe: int
    deadline: float
    output: bytearray = field(default_factory=bytearray)
    late: bool = False


class _Spawner:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, None)
        self._children: dict[int, _Child] = {}
        self._dying: set[int] = set()

    def serve(self) -> None:
        """Until delivery closes its end."""
        while True:
            for key, _ in self._selector.select(self._patience()):
                child = key.data
                if child is None:
                    if not self._receive():
                        self._kill_all()
                        return
                elif child.pid not in self._children:
                    continue
                elif key.fd == child.pidfd:
                    self._end(child)
                else:
                    self._read(child)
            self._kill_late()
            self._reap()

    def _patience(self) -> float | None:
        deadlines = [child.deadline for child in self._children.values() if not child.late]
        until_late = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        if not self._dying:
            return until_late
        return _REAP_SECONDS if until_late is None else min(_REAP_SECONDS, until_late)

    def _receive(self) -> bool:
        descriptors = array.array("i")
        room = socket.CMSG_SPACE(descriptors.itemsize)
        packet, ancillary, _, _ = self._control.recvmsg(MAX_PACKET_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        for _level, _kind, data in ancillary:
            descriptors.frombytes(data)
        if not packet:
            return False
        program, message = decode_program(packet), descriptors[0]
        try:
            self._start(program, message)
        except OSError:
            self._answer(Ended(number=program.number, exit_code=111, output=b""))
        finally:
            os.close(message)
        return True

    def _start(self, program: Program, message: int) -> None:
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if pid == 0:
            _be_child(program, message, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        child = _Child(program.number, program.uid, pid, os.pidfd_open(pid), reader, time.monotonic() + program.seconds)
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        self._selector.register(child.pipe, selectors.EVENT_READ, child)

    def _read(self, child: _Child) -> None:
        if not self._take_output(child):
            self._selector.unregister(child.pipe)

    def _take_output(self, child: _Child) -> bool:
        """Take what is there; False at the end of it. Beyond the bound it is read and forgotten."""
        try:
            data = os.read(child.pipe, _DISCARD_BYTES)
        except BlockingIOError:
            return True
        child.output += data[: MAX_OUTPUT_BYTES - len(child.output)]
        return bool(data)

    def _end(self, child: _Child) -> None:
        # A grandchild in the background may hold the pipe open for ever: take what is there, wait for no more.
        self._take_output(child)
        _, status = os.waitpid(child.pid, 0)
        if child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)
        self._selector.unregister(child.pidfd)
        os.close(child.pipe)
        os.close(child.pidfd)
        del self._children[child.pid]
        self._end_background(child)
        code = None if child.late else os.waitstatus_to_exitcode(status)
        self._answer(Ended(number=child.number, exit_code=code, output=bytes(child.output)))

    def _end_background(self, child: _Child) -> None:
        """Kill what the program has left: its process group, and whoever made himself a session of his own, as soon as
        no other program of that user runs whose child he could be."""
        _kill(child)
        running = {other.uid for other in self._children.values()}
        for orphan in self._orphans():
            if orphan.session == child.pid or not running or (child.uid not in running and orphan.uid == child.uid):
                _kill_process(orphan.pid)
                self._dying.add(orphan.pid)

    def _orphans(self) -> Iterator[Orphan]:
        return (orphan for orphan in orphans() if orphan.pid not in self._children)

    def _reap(self) -> None:
        """Let go of the killed that have ended."""
        for pid in list(self._dying):
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            if ended:
                self._dying.discard(pid)

    def _answer(self, ended: Ended) -> None:
        self._control.sendmsg([encode_ended(ended)])

    def _kill_late(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.deadline <= now and not child.late:
                child.late = True
                _kill(child)

    def _kill_all(self) -> None:
        for child in self._children.values():
            _kill(child)
        for orphan in self._orphans():
            _kill_process(orphan.pid)


def _kill(child: _Child) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        pass  # it ended by itself meanwhile, or made itself somebody whom we may not touch


def _kill_process(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # it ended by itself meanwhile


def _be_child(program: Program, message: int, writer: int) -> None:
    """The program's own process, a session and process group of its own."""
    try:
        os.setsid()
        os.dup2(message, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        if program.uid >= 0:
            _lower(resource.RLIMIT_NPROC, _PROCESSES)  # of this user; as ourselves it would count our own
            become(program.uid, program.gid)
        die_with_parent()
        if not program.network:
            without_network()
    except NoSandbox as error:
        os.write(2, f"Unable to keep the program from the network: {error}. (#4.3.0)\n".encode())
        os._exit(111)
    except BaseException:
        os._exit(111)
    execute(program.command, program.home, program.variables)


def _limit() -> None:
    """Bounds that every program inherits."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_AS, _MEMORY_BYTES)


def _lower(what: int, bound: int) -> None:
    hard = resource.getrlimit(what)[1]
    bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(what, (bound, bound))


def main() -> int:
    """Serve on the socket whose descriptor is the argument."""
    # What the terminal or the supervisor sends to the group ends delivery, which then ends us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _limit()
    adopt_orphans()
    control = socket.socket(fileno=int(sys.argv[1]))
    # No program may speak to delivery in our name.
    control.set_inheritable(False)
    _Spawner(control).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
