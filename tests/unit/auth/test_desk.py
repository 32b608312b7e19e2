"""The desk with real hashes, files and threads; the bus in memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from qmail.bus.memory import MemoryBus
from qmail.bus.subjects import WORKERS
from qmail.bus.talk.ask_pass import SUBJECT as ASK_PASS
from qmail.control import Control, ControlError
from services.auth import modules as auth_modules
from services.auth.desk import CONCURRENT_VERIFICATIONS, MAX_WAITING, MAX_WAITING_PER_ADDRESS, make_desk
from services.auth.hashes import Hashes
from services.auth.modules import Pam, UserDb, Verdict, _pam_verdict, read_modules, verify

# Of the module as it was loaded.
NOBODYS = auth_modules._NOBODYS
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
OK = {"ok": True, "name": "ari", "uid": 2001, "gid": 2001, "home": "/home/ari"}
NO = {"ok": False}
TEMPORARY = {"ok": False, "temporary": True}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full costs, a hundred times over, would be the tests' only work; where costs are the point, they are full."""
    monkeypatch.setattr(auth_modules, "_NOBODYS", CHEAP.hash(b"nobody's"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("control", "users", "auth"):
        (tmp_path / folder).mkdir()
    (tmp_path / "control/me").write_text("mail.xeris.com\n")
    (tmp_path / "control/locals").write_text("mail.xeris.com\nXeris.com\n")
    (tmp_path / "users/assign").write_text("=ari:ari:2001:2001:/home/ari:::\n=joni:joni:2002:2002:/home/joni:::\n.\n")
    (tmp_path / "auth/passwd").write_text(f"ari:{CHEAP.hash(b'aripass')}\njoni:!\n")
    return tmp_path


class Clerk:
    """A desk on a bus, and what it has logged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bus = MemoryBus()
        self.log: list[str] = []
        self.desk = make_desk(root / "auth", root / "users", Control(root / "control"), self.log.append)

    async def ask(self, user: str, password: str, **more: object) -> Any:
        asked = {"user": user, "password": password, "service": "pop3", "ip": "203.0.113.9", "tls": True, **more}
        return json.loads(await self.bus.request(ASK_PASS, json.dumps(asked).encode(), 60))


def consult(root: Path, talk: Callable[[Clerk], Awaitable[None]]) -> Clerk:
    async def main() -> Clerk:
        clerk = Clerk(root)
        await clerk.bus.subscribe(ASK_PASS, partial(clerk.desk.take, clerk.bus), WORKERS)
        await talk(clerk)
        clerk.desk.close()
        return clerk

    return asyncio.run(main())


def test_names_with_and_without_a_local_domain(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for user in ("ari", "ARI", "ari@mail.xeris.com", "Ari@XERIS.com", " ari "):
            assert await clerk.ask(user, "aripass") == OK
        for user in ("ari@example.org", "@xeris.com", "a@ri@xeris.com"):
            assert await clerk.ask(user, "aripass") == NO

    consult(root, talk)


def test_wrong_unknown_and_locked_are_one_answer_and_no_password_is_logged(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "secret1") == NO
        assert await clerk.ask("sarah", "secret2") == NO
        assert await clerk.ask("joni", "!") == NO
        assert await clerk.ask("ari", "aripass", apop="<1.2@x>", ip="192.0.2.1") == NO

    clerk = consult(root, talk)
    assert len(clerk.log) == 4
    assert "secret" not in "".join(clerk.log) and "aripass" not in "".join(clerk.log)


def test_passwords_are_bytes(root: Path) -> None:
    password = "p\u00e4\u00df".encode()
    (root / "auth/passwd").write_text(f"ari:{CHEAP.hash(password)}\n")

    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", password.decode("latin-1")) == OK

    consult(root, talk)


def test_a_changed_password_counts_at_once_although_the_old_was_remembered(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "aripass") == OK
        # Of another length: the clock of the file system may stand still meanwhile.
        (root / "auth/passwd").write_text(f"ari:{CHEAP.hash(b'other')}\njoni:!\nbudi:!\n")
        assert await clerk.ask("ari", "aripass") == NO
        assert await clerk.ask("ari", "other", ip="192.0.2.1") == OK

    consult(root, talk)


def test_a_remembered_password_costs_no_verification(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        calls: list[bytes] = []

        def counting(name: bytes, password: bytes, service: str) -> Verdict:
            calls.append(name)
            return Verdict.YES

        clerk.desk._modules = (counting,)
        for _ in range(20):
            assert await clerk.ask("ari", "aripass") == OK
        assert calls == [b"ari"]

    consult(root, talk)


def test_at_most_two_verifications_at_once_and_a_bounded_row(root: Path) -> None:
    running: list[int] = [0]
    most: list[int] = [0]
    gate, all_busy = threading.Event(), threading.Event()
    lock = threading.Lock()

    def slow(name: bytes, password: bytes, service: str) -> Verdict:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == CONCURRENT_VERIFICATIONS:
                all_busy.set()
        gate.wait(60)
        with lock:
            running[0] -= 1
        return Verdict.YES

    async def talk(clerk: Clerk) -> None:
        clerk.desk._modules = (slow,)
        many = MAX_WAITING + 10
        asking = [asyncio.create_task(clerk.ask("ari", f"p{n}", ip=f"10.0.{n // 250}.{n % 250}")) for n in range(many)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [TEMPORARY] * len(done)
        assert await asyncio.to_thread(all_busy.wait, 60)
        gate.set()
        answers = await asyncio.gather(*asking)
        assert answers.count(TEMPORARY) == 10 and answers.count(OK) == MAX_WAITING

    consult(root, talk)
    assert most == [CONCURRENT_VERIFICATIONS]


def test_one_address_does_not_take_all_the_room(root: Path) -> None:
    gate = threading.Event()

    def slow(name: bytes, password: bytes, service: str) -> Verdict:
        gate.wait(60)
        return Verdict.NO

    async def talk(clerk: Clerk) -> None:
        clerk.desk._modules = (slow,)
        many = MAX_WAITING_PER_ADDRESS + 10
        asking = [asyncio.create_task(clerk.ask(f"u{number}", "guess")) for number in range(many)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [TEMPORARY] * len(done)
        another = asyncio.create_task(clerk.ask("ari", "aripass", ip="192.0.2.1"))
        gate.set()
        assert (await asyncio.gather(*asking)).count(TEMPORARY) == 10
        assert await another == NO, "it was heard"

    consult(root, talk)


def test_the_same_question_at_the_same_time_is_one_attempt(root: Path) -> None:
    calls: list[bytes] = []

    def counting(name: bytes, password: bytes, service: str) -> Verdict:
        calls.append(password)
        return Verdict.NO

    async def talk(clerk: Clerk) -> None:
        clerk.desk._modules = (counting,)
        assert await asyncio.gather(*[clerk.ask("ari", "wrong") for _ in range(5)]) == [NO] * 5
        assert calls == [b"wrong"]

    consult(root, talk)


def test_failures_slow_the_same_account_and_address_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(clerk: Clerk) -> None:
        waits: list[float] = []
        over = asyncio.Event()

        async def wait(seconds: float) -> None:
            waits.append(seconds)
            await over.wait()

        monkeypatch.setattr("services.auth.throttle.FIRST_DELAY_SECONDS", 60.0)
        monkeypatch.setattr("services.auth.throttle.MAX_DELAY_SECONDS", 60.0)
        monkeypatch.setattr("services.auth.throttle.MAX_WAIT_SECONDS", 60.0)
        assert await clerk.ask("ari", "wrong") == NO
        monkeypatch.setattr("services.auth.desk.asyncio.sleep", wait)
        slowed = asyncio.create_task(clerk.ask("ari", "aripass"))
        assert await clerk.ask("ari", "aripass", ip="192.0.2.1", service="imap") == OK
        assert not slowed.done() and len(waits) == 1 and 0 < waits[0] <= 60
        over.set()
        assert await slowed == OK

    consult(root, talk)


@pytest.mark.parametrize("trouble", ["assign", "passwd", "nologin", "control"])
def test_our_own_trouble_is_temporary(root: Path, trouble: str) -> None:
    if trouble == "assign":
        (root / "users/assign").write_text("nonsense\n")
    elif trouble == "passwd":
        (root / "auth/passwd").unlink()
        (root / "auth/passwd").mkdir()
    elif trouble == "nologin":
        (root / "control/nologin").write_text("back at noon\n")
    else:
        (root / "control/locals").unlink()
        (root / "control/locals").mkdir()

    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari@xeris.com", "aripass") == TEMPORARY

    consult(root, talk)


def test_what_is_no_request_gets_no(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for payload in (b"", b"nonsense", b"{}" + b" " * 100_000):
            assert json.loads(await clerk.bus.request(ASK_PASS, payload, 5)) == NO

    consult(root, talk)


def test_a_bad_line_locks_one_account_out_and_is_not_shown(root: Path) -> None:
    warnings: list[str] = []
    path = root / "auth/passwd"
    path.write_text("joni$argon2secret\nari:" + CHEAP.hash(b"aripass") + "\n:x\n")
    hashes = Hashes(path, warnings.append)
    assert hashes.find(b"ari") is not None and hashes.find(b"joni") is None
    assert warnings == [f"warning: {path}:{n}: expected name:hash" for n in (1, 3)]


def test_unknown_names_cost_what_wrong_passwords_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in CPU time of this thread, so that a busy machine does not matter."""
    from qmail.hasher import HASHER

    monkeypatch.setattr(auth_modules, "_NOBODYS", NOBODYS)
    path = tmp_path / "passwd"
    path.write_text(f"ari:{HASHER.hash(b'aripass')}\nlocked:!\n")
    modules = (UserDb(Hashes(path, print)),)

    def cost(name: bytes | None) -> float:
        spent = []
        for _ in range(3):
            began = time.thread_time()
            assert verify(modules, name, b"wrong", "pop3") is Verdict.NO
            spent.append(time.thread_time() - began)
        return min(spent)

    wrong = cost(b"ari")
    for name in (b"sarah", b"locked", None):
        assert 0.2 < cost(name) / wrong < 5.0


def test_modules_are_tried_in_order_and_the_first_that_knows_decides() -> None:
    def says(verdict: Verdict) -> Callable[[bytes, bytes, str], Verdict]:
        return lambda name, password, service: verdict

    unknown, yes = says(Verdict.UNKNOWN), says(Verdict.YES)
    no, later = says(Verdict.NO), says(Verdict.TEMPORARY)
    for modules, expected in (
        ((unknown, yes), Verdict.YES),
        ((no, yes), Verdict.NO),
        ((later, yes), Verdict.TEMPORARY),
        ((unknown,), Verdict.NO),
        ((yes,), Verdict.YES),
    ):
        assert verify(modules, b"ari", b"x", "pop3") is expected
    assert verify((yes,), None, b"x", "pop3") is Verdict.NO


@pytest.mark.parametrize("line", [b"authmysql", b"authuserdb,authpam", b"", b"  "])
def test_an_unknown_module_stops_the_start(root: Path, line: bytes) -> None:
    (root / "control/authmodulelist").write_bytes(line + b"\n")
    with pytest.raises(ControlError, match="authmodulelist:1: expected some of authuserdb, authpam, found "):
        make_desk(root / "auth", root / "users", Control(root / "control"), print)


def test_pam_answers_in_our_words() -> None:
    assert [_pam_verdict(code) for code in (7, 10, 9, 4, 13)] == [
        Verdict.NO,
        Verdict.UNKNOWN,
        Verdict.TEMPORARY,
        Verdict.TEMPORARY,
        Verdict.NO,
    ]
    assert len(read_modules((b"authuserdb", b"authpam"), Hashes(Path("/none"), print))) == 2
    assert Pam()(b"ari", b"x", "login") is Verdict.UNKNOWN
