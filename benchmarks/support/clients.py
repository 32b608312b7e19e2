"""The client's side of IMAP and POP3, as cheap as it can be: what is measured is the server."""

from __future__ import annotations

import socket
import time
from types import TracebackType

_PIECE = 1 << 20
_SECONDS = 600


class Line:
    """A connection that has read the greeting."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.until(b"\r\n")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes, until `end` is the end of it. Raises EOFError."""
        pieces: list[bytes] = []
        tail = b""
        while not tail.endswith(end):
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise EOFError(b"".join(pieces)[-500:])
            pieces.append(piece)
            tail = (tail + piece)[-1000:]
        return b"".join(pieces)


class Imap(Line):
    """Logged in."""

    def __init__(self, port: int, name: str, password: str) -> None:
        super().__init__(port)
        self.do(f"LOGIN {name} {password}")

    def __enter__(self) -> Imap:
        return self

    def do(self, command: str) -> bytes:
        """A command; its whole answer. Raises RuntimeError unless it is OK."""
        self.send(f"a {command}\r\n".encode())
        return self.answer(command)

    def answer(self, what: str) -> bytes:
        """The rest of an answer, to the tagged line. Raises RuntimeError unless it is OK."""
        found = self.until(b"\r\n")
        while not (last := found[found[:-2].rfind(b"\n") + 1 :]).startswith(b"a "):
            found += self.until(b"\r\n")
        if not last.startswith(b"a OK"):
            raise RuntimeError(f"{what}: {last.decode(errors='replace')}")
        return found

    def append(self, folder: str, message: bytes) -> None:
        """APPEND."""
        self.send(f"a APPEND {folder} {{{len(message)}}}\r\n".encode())
        self.until(b"\r\n")
        self.send(message + b"\r\n")
        self.answer("APPEND")


class Pop3(Line):
    """Logged in."""

    def __init__(self, port: int, name: str, password: str) -> None:
        super().__init__(port)
        self.do(f"USER {name}")
        self.do(f"PASS {password}")

    def __enter__(self) -> Pop3:
        return self

    def do(self, command: str, end: bytes = b"\r\n") -> bytes:
        """A command; its answer. Raises RuntimeError unless it is +OK."""
        self.send(f"{command}\r\n".encode())
        found = self.until(end)
        if not found.startswith(b"+OK"):
            raise RuntimeError(f"{command}: {found[:100].decode(errors='replace')}")
        return found


def timed(run: object, *arguments: object) -> float:
    """Milliseconds that a call takes."""
    assert callable(run)
    began = time.perf_counter()
    run(*arguments)
    return (time.perf_counter() - began) * 1000
