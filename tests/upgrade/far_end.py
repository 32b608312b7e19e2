"""The host that deferred mail was for: it takes everything now, and counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.ports import free_port

LETTER = re.compile(rb"^X-Letter: (.+?)\r?$", re.MULTILINE)


class FarEnd:
    """What came: (letter, recipient), and the sender of each."""

    def __init__(self) -> None:
        self.came: Counter[tuple[str, str]] = Counter()
        self.senders: dict[tuple[str, str], str] = {}
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take it."""
        for recipient in envelope.rcpt_tos:
            key = (letter_of(envelope.original_content or b""), recipient)
            self.came[key] += 1
            self.senders[key] = envelope.mail_from or ""
        return "250 ok"


def letter_of(message: bytes) -> str:
    """The name that make_volumes.py gave it; of a bounce, that of the message in it."""
    found = LETTER.search(message)
    return found[1].decode() if found else ""


@contextmanager
def far_end(host: str) -> Iterator[FarEnd]:
    """One that listens on an address of this machine."""
    end = FarEnd()
    end.port = free_port()
    controller = Controller(end, hostname=host, port=end.port, enable_SMTPUTF8=True, decode_data=False)
    controller.start()
    try:
        yield end
    finally:
        controller.stop()
