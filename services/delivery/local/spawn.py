"""The delivery process's side of the spawner."""

from __future__ import annotations

import array
import asyncio
import itertools
import socket
import subprocess
import sys

from services.delivery.local import replies
from services.delivery.local.refusal import temporary
from services.delivery.local.spawn_wire import MAX_PACKET_BYTES, Ended, Program, decode_ended, encode_program


class Spawner:
    """A handle on the spawner process. Make it before any thread is started; it is restarted when it dies."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Ended]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start()

    def next_number(self) -> int:
        """A number for a Program, not used before."""
        return next(self._numbers)

    async def run(self, program: Program, message: int) -> Ended:
        """Run a program with the message as its standard input; `message` stays the caller's to close.

        Raises Refusal (a deferral) if the program could not be run to its end.
        """
        packet = encode_program(program)
        if len(packet) > MAX_PACKET_BYTES:
            raise temporary(replies.PROGRAM_NOT_RUN)
        self._listen()
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._waiting[program.number] = future
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [message]))]
        try:
            self._socket.sendmsg([packet], rights)
            return await future
        except OSError as error:
            raise temporary(replies.NO_RESOURCES) from error
        finally:
            self._waiting.pop(program.number, None)

    def close(self) -> None:
        """End the spawner and what it runs."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        self._loop = None
        self._socket.close()
        self._process.wait()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_PACKET_BYTES)
        arguments = [sys.executable, "-m", "services.delivery.local.spawner", str(theirs.fileno())]
        self._process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        ours.settimeout(0)
        self._socket = ours

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._socket, self._receive)

    def _receive(self) -> None:
        try:
            packet = self._socket.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._restart()
            return
        ended = decode_ended(packet)
        future = self._waiting.pop(ended.number, None)
        if future is not None and not future.done():
            future.set_result(ended)

    def _restart(self) -> None:
        """The spawner died: what ran is deferred, the next program gets a new one."""
        self.close()
        self._start()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(temporary(replies.NO_RESOURCES))
