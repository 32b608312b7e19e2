"""SMTP, POP3 and IMAP spoken byte by byte: for what the standard library's clients cannot say, or would repair."""

from __future__ import annotations

import base64
import re
import socket
from types import TracebackType

from tests.support.mail_run import HOST

SECONDS = 60.0
LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


class Talk:
    """One connection; `greeting` is the first line. A closed connection reads as an empty line."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=SECONDS)
        self._input = self._socket.makefile("rb")
        self.greeting = self.line()

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self._input.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send the bytes as they are."""
        self._socket.sendall(data)

    def line(self) -> bytes:
        """The next line with its end; empty where the other side has closed."""
        return self._input.readline()

    def smtp(self, command: bytes) -> bytes:
        """The whole reply to a command line."""
        self.send(command + b"\r\n")
        reply = b""
        while line := self.line():
            reply += line
            if line[3:4] != b"-":
                break
        return reply

    def smtp_login(self, name: str, password: str) -> bytes:
        """The reply to AUTH PLAIN, after EHLO."""
        self.smtp(b"EHLO client.example.org")
        return self.smtp(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()))

    def pop3(self, command: bytes) -> bytes:
        """The first line of the answer to a command."""
        self.send(command + b"\r\n")
        return self.line()

    def imap(self, command: bytes, tag: bytes = b"a") -> bytes:
        """All of the answer, literals included, to the tagged line or to a continuation request."""
        self.send(tag + b" " + command + b"\r\n")
        return self.imap_answer(tag)

    def imap_answer(self, tag: bytes = b"a") -> bytes:
        """What comes up to the tagged line or a continuation request."""
        answer = b""
        while line := self.line():
            answer += line
            if literal := LITERAL.search(line):
                answer += self._input.read(int(literal[1]))
            elif line.startswith((tag + b" ", b"+ ")):
                break
        return answer
