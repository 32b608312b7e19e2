"""IMAP beside Debian's Dovecot on the same mail, taking turns: milliseconds, cold (nothing cached) and warm.

Each line of a cold and a warm figure has a folder of its own, made of hard links: cold is the first time that anybody
asks for it there, warm the median of BENCH_ROUNDS sessions after that. The first SELECT of a folder is SELECT's cold
figure. Needs uid 0 (per-user) and Debian's packages dovecot-imapd and dovecot-pop3d.

BENCH_MESSAGES (10000), BENCH_LARGE (50000), BENCH_ROUNDS (3), BENCH_ONLY (words of the lines to measure, by commas).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.support import mail
from benchmarks.support.clients import Imap, timed
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.peer_dovecot import DOVECOT, MAIL_UID, Dovecot
from benchmarks.support.processes import tree

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "10000"))
LARGE = int(os.environ.get("BENCH_LARGE", "50000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ONLY = tuple(word for word in os.environ.get("BENCH_ONLY", "").split(",") if word)
NAME, PASSWORD = "joni", "jonipass"
FEW = f"1:{min(1000, MESSAGES)}"
ATTACHMENT_BYTES = 24 * 1024 * 1024
PIECE_BYTES = 64 * 1024
IDLERS, APPENDS, SESSIONS = 5, 10, 10

#: What is asked of a folder cold and then warm, by the name of the line.
ASKED = {
    "FLAGS UID RFC822.SIZE": "FETCH 1:* (FLAGS UID RFC822.SIZE)",
    "ENVELOPE": "FETCH 1:* ENVELOPE",
    "BODYSTRUCTURE": "FETCH 1:* BODYSTRUCTURE",
    "BODY.PEEK[]": f"FETCH {FEW} BODY.PEEK[]",
    "HEADER.FIELDS": "FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT)]",
    "SEARCH SUBJECT": "SEARCH SUBJECT kernel",
    "SEARCH FROM": "SEARCH FROM dewi",
    "SEARCH TEXT": "SEARCH TEXT linux",
    "SEARCH UNSEEN": "SEARCH UNSEEN",
    "SORT DATE": "SORT (DATE) UTF-8 ALL",
    "SORT SUBJECT": "SORT (SUBJECT) UTF-8 ALL",
    "THREAD": "THREAD REFERENCES UTF-8 ALL",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One of the two. `processes`: those whose memory a session costs, by their root."""

    name: str
    port: int
    maildir: Path
    uid: int
    pid: Callable[[], int]

    def session(self, folder: str = "") -> Imap:
        """A client that is logged in, and has selected a folder."""
        client = Imap(self.port, NAME, PASSWORD)
        if folder:
            client.do(f"SELECT INBOX.{folder}")
        return client

    def resident_bytes(self) -> int:
        """Of all processes, what is theirs alone."""
        return sum(_own_bytes(process.pid) for process in tree(self.pid()))


def _own_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


Pair = tuple[Server, Server]


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(DOVECOT).exists():
        sys.exit("imap: needs uid 0 (per-user) and Debian's packages dovecot-imapd and dovecot-pop3d")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ours, peer = Deployment(base / "ours"), Dovecot(base / "dovecot", PASSWORD)
        try:
            ours.start()
            ours.useradd(NAME, PASSWORD)
            peer.start()
            home = ours.maildir(NAME)
            mine = Server("ours", ours.ports["IMAP_PORT"], home, home.stat().st_uid, lambda: ours.main_pid("imap"))
            theirs = Server("dovecot", peer.imap_port, peer.maildir(NAME), MAIL_UID, lambda: peer.pid)
            ratios = list(run_all((mine, theirs)))
        finally:
            peer.stop()
            ours.stop()
    print("imap ratio to dovecot (of times, above 1 is slower): " + ", ".join(ratios))
    return 0


def run_all(pair: Pair) -> Iterator[str]:
    """All lines; the ratios, each with its line's name."""
    print(f"{'':34} {'ours ms':>10} {'dovecot':>10}  ratio")
    for server in pair:
        mail.fill(server.maildir, MESSAGES, mail.message, server.uid)
    selects: list[tuple[list[float], list[float]]] = []
    for line, command in ASKED.items():
        if wanted(line):
            yield from asked(pair, line, command, selects)
    if selects:
        yield report("SELECT cold", *(statistics.median(s) for s in zip(*(first for first, _ in selects), strict=True)))
        yield report("SELECT warm", *(statistics.median(s) for s in zip(*(again for _, again in selects), strict=True)))
    for line, measure in OTHERS.items():
        if wanted(line):
            for title, figures in measure(pair):
                yield report(title, *figures)


def wanted(line: str) -> bool:
    """Whether the line is to be measured."""
    return not ONLY or any(word.upper() in line.upper() for word in ONLY)


def report(title: str, mine: float, peer: float) -> str:
    """A row of the table; the ratio with its name."""
    ratio = mine / peer if peer else float("inf")
    print(f"{title:34} {mine:10.2f} {peer:10.2f} {ratio:6.2f}", flush=True)
    return f"{title} {ratio:.2f}"


def asked(pair: Pair, line: str, command: str, selects: list[tuple[list[float], list[float]]]) -> Iterator[str]:
    """A line's cold and warm figures; SELECT's along the way."""
    title = "L" + "".join(character for character in line if character.isalnum())
    with pair[0].session() as client:
        if not all(word in client.do("CAPABILITY") for word in (b"SORT", b"THREAD") if line.startswith(word.decode())):
            print(f"{line:34} not there")
            return
    for server in pair:
        mail.folder(server.maildir, title, server.uid, server.maildir)
    first = [visit(server, title, command) for server in pair]
    again = [[visit(server, title, command) for server in pair] for _ in range(ROUNDS)]
    selects.append(([select for select, _ in first], [median(again, side, 0) for side in (0, 1)]))
    yield report(f"{line} cold", first[0][1], first[1][1])
    yield report(f"{line} warm", median(again, 0, 1), median(again, 1, 1))


def median(turns: list[list[tuple[float, float]]], side: int, what: int) -> float:
    """Of one server's figures."""
    return statistics.median(turn[side][what] for turn in turns)


def visit(server: Server, folder: str, command: str) -> tuple[float, float]:
    """What SELECT and the command took in a new session."""
    with server.session() as client:
        return timed(client.do, f"SELECT INBOX.{folder}"), timed(client.do, command)


Lines = Iterator[tuple[str, tuple[float, float]]]


def turns(pair: Pair, measure: Callable[[Server], float]) -> tuple[float, float]:
    """The medians of both, taking turns."""
    figures = [[measure(server) for server in pair] for _ in range(ROUNDS)]
    return statistics.median(f[0] for f in figures), statistics.median(f[1] for f in figures)


def work(pair: Pair) -> Lines:
    """STORE, COPY, NOOP, log-ins."""
    for server in pair:
        mail.folder(server.maildir, "Work", server.uid, server.maildir)
        mail.prepare(server.maildir / ".Copies", server.uid)
        (server.maildir / ".Copies" / "maildirfolder").touch()
        with server.session("Work") as client:
            client.do("NOOP")
    for title, commands in {
        f"STORE {FEW}, there and back": (f"STORE {FEW} +FLAGS (\\Flagged)", f"STORE {FEW} -FLAGS (\\Flagged)"),
        f"STORE {FEW} keyword, same": (f"STORE {FEW} +FLAGS (Kerja)", f"STORE {FEW} -FLAGS (Kerja)"),
        f"COPY {FEW}": (f"COPY {FEW} INBOX.Copies",),
        "1,000 NOOP": ("NOOP",) * 1000,
    }.items():
        yield title, turns(pair, partial(in_session, commands))
    yield "20 log-ins and -outs", turns(pair, log_ins)


def in_session(commands: tuple[str, ...], server: Server) -> float:
    """What they take together."""
    with server.session("Work") as client:
        return sum(timed(client.do, command) for command in commands)


def log_ins(server: Server) -> float:
    """Twenty."""

    def one() -> None:
        with server.session() as client:
            client.do("LOGOUT")

    return sum(timed(one) for _ in range(20))


def unchanged(pair: Pair) -> Lines:
    """STATUS and EXAMINE of a folder of 20,000 where nothing happens; each the mean of 20."""
    count = min(20_000, LARGE)
    for server in pair:
        mail.many(server.maildir, "Same", server.uid, count)
        with server.session("Same") as client:
            client.do("NOOP")
    time.sleep(0.1)  # both take a folder that was changed a moment ago for one that may change again
    for command in ("STATUS INBOX.Same (MESSAGES UNSEEN UIDNEXT)", "EXAMINE INBOX.Same"):
        yield f"{command.split()[0]} of {count}, unchanged", turns(pair, partial(repeated, command))


def repeated(command: str, server: Server) -> float:
    """One of twenty."""
    with server.session() as client:
        return sum(timed(client.do, command) for _ in range(20)) / 20


def attachment(pair: Pair) -> Lines:
    """A large part in pieces, as clients ask for it; one piece."""
    head = b"Subject: besar\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
    body = (b"A" * 76 + b"\n") * (ATTACHMENT_BYTES // 77)
    for server in pair:
        mail.prepare(server.maildir / ".Large", server.uid)
        path = server.maildir / ".Large" / "cur" / mail.name(1)
        path.write_bytes(head + body)
        mail.own(path, server.uid)
    yield "24 MB by 64 kB, a piece", turns(pair, in_pieces)


def in_pieces(server: Server) -> float:
    """The mean of all pieces."""
    with server.session("Large") as client:
        starts = range(0, ATTACHMENT_BYTES, PIECE_BYTES)
        return sum(timed(client.do, f"FETCH 1 BODY.PEEK[]<{at}.{PIECE_BYTES}>") for at in starts) / len(starts)


def large(pair: Pair) -> Lines:
    """SELECT of a large folder, what ten sessions of it cost in memory, and what its news cost idling clients."""
    for server in pair:
        mail.many(server.maildir, "Many", server.uid, LARGE)
    first = [timed(_select, "Many", server) for server in pair]
    yield f"SELECT of {LARGE}, first", (first[0], first[1])
    yield f"SELECT of {LARGE}, again", turns(pair, partial(timed, _select, "Many"))
    memory = [sessions(server) for server in pair]
    yield f"MB a session with {LARGE}, of {SESSIONS}", (memory[0], memory[1])
    yield f"{APPENDS} APPENDs to {LARGE}, {IDLERS} idle", turns(pair, idlers)


def _select(folder: str, server: Server) -> None:
    with server.session(folder):
        pass


def sessions(server: Server) -> float:
    """Megabytes."""
    before = server.resident_bytes()
    clients = [server.session("Many") for _ in range(SESSIONS)]
    after = server.resident_bytes()
    for client in clients:
        client.__exit__(None, None, None)
    return (after - before) / SESSIONS / 1_000_000


def idlers(server: Server) -> float:
    """Until all of them have been told of the last message."""
    clients = [server.session("Many") for _ in range(IDLERS)]
    for client in clients:
        client.send(b"a IDLE\r\n")
        client.until(b"\r\n")
    with server.session() as writer:
        began = time.perf_counter()
        for number in range(APPENDS):
            writer.append("INBOX.Many", b"Subject: %d\r\n\r\nhalo\r\n" % number)
        exists = int(writer.do("STATUS INBOX.Many (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0])
        for client in clients:
            heard = b""
            while b"* %d EXISTS" % exists not in heard:
                heard += client.until(b"\r\n")
        took = (time.perf_counter() - began) * 1000
    for client in clients:
        client.__exit__(None, None, None)
    return took


OTHERS: dict[str, Callable[[Pair], Lines]] = {
    "STORE COPY NOOP LOGIN": work,
    "STATUS EXAMINE": unchanged,
    "PIECES": attachment,
    "LARGE": large,
}


if __name__ == "__main__":
    sys.exit(main())
