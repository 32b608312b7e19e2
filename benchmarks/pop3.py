"""POP3 beside Debian's Dovecot on the same mail, taking turns: rates, and what a large drop costs.

Needs uid 0 (per-user) and Debian's packages dovecot-imapd and dovecot-pop3d.

BENCH_MESSAGES (1000), BENCH_LARGE (20000), BENCH_ROUNDS (3), BENCH_SECONDS (2, of each rate).
"""

from __future__ import annotations

import multiprocessing
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
from benchmarks.support.clients import Pop3, timed
from benchmarks.support.deployment import Deployment
from benchmarks.support.disk import spread
from benchmarks.support.peer_dovecot import DOVECOT, MAIL_UID, Dovecot
from benchmarks.support.processes import tree

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1000"))
LARGE = int(os.environ.get("BENCH_LARGE", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
#: One account for each client, and one with the large drop.
CLIENTS = 4
NAMES = tuple(f"user{number}" for number in range(CLIENTS))
RICH, PASSWORD = "rich", "jonipass"
CONTROL = {"concurrencyincoming": 400, "concurrencyperip": 400}
END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Server:
    """One of the two; `pid`: the root of its processes."""

    port: int
    pid: Callable[[], int]

    def cpu_seconds(self) -> float:
        """So far."""
        return sum(process.cpu_seconds for process in tree(self.pid()))


Pair = tuple[Server, Server]


def main() -> int:
    """Run the benchmark."""
    if os.getuid() != 0 or not Path(DOVECOT).exists():
        sys.exit("pop3: needs uid 0 (per-user) and Debian's packages dovecot-imapd and dovecot-pop3d")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        base = Path(name)
        base.chmod(0o755)
        spread(base)
        ours, peer = Deployment(base / "ours"), Dovecot(base / "dovecot", PASSWORD)
        try:
            for control, number in CONTROL.items():
                ours.control(control, f"{number}\n")
            ours.start()
            peer.start()
            for account in (*NAMES, RICH):
                ours.useradd(account, PASSWORD)
                for maildir in (ours.maildir(account), peer.maildir(account)):
                    uid = maildir.stat().st_uid if maildir.exists() else MAIL_UID
                    mail.fill(maildir, LARGE if account == RICH else MESSAGES, mail.plain, uid)
            ratios = list(
                run_all(
                    (
                        Server(ours.ports["POP3_PORT"], lambda: ours.main_pid("pop3")),
                        Server(peer.pop3_port, lambda: peer.pid),
                    )
                )
            )
        finally:
            peer.stop()
            ours.stop()
    print("pop3 ratio to dovecot: " + ", ".join(ratios))
    return 0


def run_all(pair: Pair) -> Iterator[str]:
    """All lines; the ratios, each with its line's name. Above 1 is quicker in all of them."""
    print(f"{'':34} {'ours':>10} {'dovecot':>10}  ratio   CPU ms each")
    for title, one in (("RETR of 3 kB", retrieve), (f"log-in, STAT, QUIT on {MESSAGES}", visit)):
        for clients in (1, CLIENTS):
            figures = [[rate(server, one, clients) for server in pair] for _ in range(ROUNDS)]
            mine, peer = (statistics.median(turn[side][0] for turn in figures) for side in (0, 1))
            cpu = " ".join(f"{statistics.median(turn[side][1] for turn in figures):.3f}" for side in (0, 1))
            yield report(f"{title}, {clients} client{'s' * (clients > 1)}, /s", mine, peer, mine / peer, cpu)
    with_drop: dict[str, Callable[[Pop3], float]] = {
        "LIST": lambda client: timed(client.do, "LIST", END),
        "UIDL": lambda client: timed(client.do, "UIDL", END),
    }
    yield slow(pair, f"log-in and STAT of {LARGE}, ms", open_drop)
    for title, ask in with_drop.items():
        yield slow(pair, f"{title} of {LARGE}, ms", partial(in_session, ask))


def report(title: str, mine: float, peer: float, ratio: float, more: str = "") -> str:
    """A row of the table; the ratio with its name."""
    print(f"{title:34} {mine:10.1f} {peer:10.1f} {ratio:6.2f}   {more}", flush=True)
    return f"{title} {ratio:.2f}"


def slow(pair: Pair, title: str, measure: Callable[[Server], float]) -> str:
    """A row of times."""
    figures = [[measure(server) for server in pair] for _ in range(ROUNDS)]
    mine, peer = (statistics.median(turn[side] for turn in figures) for side in (0, 1))
    return report(title, mine, peer, peer / mine)


def open_drop(server: Server) -> float:
    """Milliseconds to the answer of STAT."""

    def to_stat() -> None:
        with Pop3(server.port, RICH, PASSWORD) as client:
            client.do("STAT")

    return timed(to_stat)


def in_session(ask: Callable[[Pop3], float], server: Server) -> float:
    """Milliseconds of one command on the large drop."""
    with Pop3(server.port, RICH, PASSWORD) as client:
        return ask(client)


Work = Callable[[int, str, float], int]


def rate(server: Server, one: Work, clients: int) -> tuple[float, float]:
    """How often a second so many clients had it done, each a process of its own; CPU of the server, ms each."""
    before = server.cpu_seconds()
    with multiprocessing.Pool(clients) as pool:
        began = time.perf_counter()
        done = sum(pool.starmap(one, [(server.port, name, SECONDS) for name in NAMES[:clients]], chunksize=1))
        took = time.perf_counter() - began
    return done / took, (server.cpu_seconds() - before) * 1000 / done


def retrieve(port: int, name: str, seconds: float) -> int:
    """RETR of one message after the other; how many."""
    done, end = 0, time.perf_counter() + seconds
    with Pop3(port, name, PASSWORD) as client:
        while time.perf_counter() < end:
            client.do(f"RETR {done % MESSAGES + 1}", END)
            done += 1
    return done


def visit(port: int, name: str, seconds: float) -> int:
    """One session after the other; how many."""
    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        with Pop3(port, name, PASSWORD) as client:
            client.do("STAT")
            client.do("QUIT")
        done += 1
    return done


if __name__ == "__main__":
    sys.exit(main())
