"""What the crash test sends, and where each kind must be found in the end."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SMTPEnvelope

from tests.support.ports import free_ports

# More than one piece on the bus.
LARGE = "x" * 70 + "\r\n"
LARGE_LINES = 9000


@dataclass(frozen=True, slots=True)
class Kind:
    """Messages to these recipients; `places` is who must have each of them in the end."""

    recipients: tuple[str, ...]
    places: tuple[str, ...]
    padding: str = ""


SMALL = Kind(("joni@xeris.com",), ("joni",))
BIG = Kind(("joni@xeris.com",), ("joni",), LARGE * LARGE_LINES)
BOTH = Kind(("joni@xeris.com", "diva@xeris.com"), ("joni", "diva"))
REMOTE = Kind(("somebody@far.example",), ("far.example",))
FORWARDED = Kind(("joni-terus@xeris.com",), ("diva",))
BOUNCED = Kind(("joni-gagal@xeris.com",), ("ari",))
# Deferred some times, then delivered.
DEFERRED = Kind(("joni-nanti@xeris.com",), ("joni",))
DEFERRED_FAR = Kind(("nanti@far.example",), ("far.example",))
DEFERRALS = 3
# Counts the attempts at each message, and defers the first ones; the next line of .qmail-nanti delivers.
DEFER = f"""number=$(sed -n 's/^X-Number: //p; /^$/q')
count=$(cat "nanti/$number" 2>/dev/null || echo 0)
[ "$count" -ge {DEFERRALS} ] && exit 0
echo $((count + 1)) > "nanti/$number"
exit 111
"""
DOT_QMAILS = {
    ".qmail-terus": "&diva@xeris.com\n",
    ".qmail-gagal": "|exit 100\n",
    ".qmail-nanti": "|sh ./tunda\n./Maildir/\n",
    "tunda": DEFER,
}


def kind_of(number: int) -> Kind:
    """Some are small and simple."""
    kinds = {0: BIG, 1: BOTH, 2: REMOTE, 3: FORWARDED, 4: BOUNCED, 5: DEFERRED, 6: DEFERRED_FAR}
    return kinds.get(number % 10, SMALL)


def write_dot_qmails(home: Path) -> None:
    """The instructions of joni's that the kinds need."""
    owner = home.stat()
    (home / "nanti").mkdir()
    for name, text in DOT_QMAILS.items():
        (home / name).write_text(text)
    for path in (home / "nanti", *(home / name for name in DOT_QMAILS)):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)


@dataclass(slots=True)
class Found:
    """How often a place has each message, by the number that its sender gave it and by its number in the queue."""

    numbers: Counter[int] = field(default_factory=Counter)
    qps: Counter[str] = field(default_factory=Counter)

    def take(self, text: str) -> None:
        self.numbers[int(re.search(r"^X-Number: (\d+)", text, re.M)[1])] += 1  # type: ignore[index]
        self.qps.update(re.findall(r"\(qmail (\d+) invoked from network\)", text))


def in_maildir(maildir: Path) -> Found:
    """What lies in a Maildir, read or not."""
    found = Found()
    for folder in ("new", "cur"):
        for path in (maildir / folder).iterdir():
            found.take(path.read_text(errors="replace"))
    return found


class FarHost(MessageHandler):
    """The mail server of far.example: keeps what it has answered 250 for."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Found()
        self._attempts: Counter[bytes] = Counter()
        [self.port] = free_ports(1)
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=60)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: SMTPEnvelope) -> str:
        if envelope.rcpt_tos[0].startswith("nanti@"):
            number = re.search(rb"^X-Number: (\d+)", envelope.original_content or b"", re.M)[1]  # type: ignore[index]
            self._attempts[number] += 1
            if self._attempts[number] <= DEFERRALS:
                return "451 nanti"
        return await super().handle_DATA(server, session, envelope)

    def handle_message(self, message: Message) -> None:
        self.found.take(message.as_string())


class Reader:
    """Somebody who reads: moves what is new to cur, all the while."""

    def __init__(self, maildir: Path) -> None:
        self._maildir = maildir
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.wait(0.05):
            for path in (self._maildir / "new").iterdir():
                path.rename(self._maildir / "cur" / f"{path.name}:2,S")
