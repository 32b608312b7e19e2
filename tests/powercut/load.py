"""Senders that go on until the door is gone, and when each of their messages was answered."""

from __future__ import annotations

import random
import re
import smtplib
import threading
import time
from dataclasses import dataclass

from tests.support.mail_run import HOST

SENDERS = 4
SIZES = (1, 10, 200, 12_000)  # lines of a message; the last goes in pieces
LINE = b"a line of a message that must come back whole, every one of them"
QP = re.compile(rb" qp (\d+)")


def message(number: int, lines: int) -> bytes:
    """A message that says how many lines it has."""
    head = b"Subject: cut\r\nX-Number: %d\r\nX-Lines: %d\r\n\r\n" % (number, lines)
    return head + (LINE + b"\r\n") * lines


@dataclass(frozen=True, slots=True)
class Answer:
    """A 250: the message's number in the queue, and when it was heard, by the clock that nobody sets."""

    id: int
    heard_at: float


class Load:
    """Messages numbered from `first`, and those of them that were answered 250."""

    def __init__(self, port: int, chosen: random.Random, first: int) -> None:
        self._port, self._chosen = port, chosen
        self._next, self._lock = first, threading.Lock()
        self.answers: dict[int, Answer] = {}
        self.refusal = "none"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]

    @property
    def next(self) -> int:
        """The first number that was not used."""
        return self._next

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _take(self) -> tuple[int, int]:
        with self._lock:
            number, self._next = self._next, self._next + 1
            return number, self._chosen.choices(SIZES, weights=(20, 20, 10, 1))[0]

    def _send_all(self) -> None:
        while not self._stop.is_set():
            try:
                self._send_some()
            except (OSError, smtplib.SMTPException) as error:
                self.refusal = repr(error)

    def _send_some(self) -> None:
        with smtplib.SMTP(HOST, self._port, timeout=30) as client:
            client.ehlo()
            while not self._stop.is_set():
                number, lines = self._take()
                client.mail("ari@xeris.com")
                client.rcpt("ari@xeris.com")
                code, text = client.data(message(number, lines))
                heard_at = time.monotonic()
                if code != 250:
                    raise smtplib.SMTPResponseException(code, text)
                match = QP.search(text)
                assert match is not None, text
                self.answers[number] = Answer(int(match[1]), heard_at)
