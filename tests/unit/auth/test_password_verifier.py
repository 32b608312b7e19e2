"""The verifier with real hashes, files and threads; the bus in memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmail.bus.talk.ask_pass import SUBJECT as ASK_PASS
from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from qmail.log.notices import Notices
from services.auth import pam_userdb
from services.auth.modules import module as auth_module
from services.auth.modules.hashes import Hashes
from services.auth.modules.module import Verdict
from services.auth.modules.read import makers, read_modules, verify
from services.auth.modules.system_pam import Pam, pam_verdict
from services.auth.modules.userdb import UserDb
from services.auth.password_verifier import MAX_OPEN_PER_NETWORK
from services.auth.verifications import CONCURRENT_VERIFICATIONS
from tests.support.clerk import CHEAP, NO, OK, TEMPORARY, Clerk

# Of the module as it was loaded.
NOBODYS = auth_module._NOBODYS


def consult(root: Path, talk: Callable[[Clerk], Awaitable[None]]) -> Clerk:
    async def main() -> Clerk:
        with ThreadPoolExecutor(CONCURRENT_VERIFICATIONS) as threads:
            clerk = await Clerk(root, threads).open()
            await talk(clerk)
            clerk.verifier.close()
        return clerk

    return asyncio.run(main())


class Says:
    """A module that does as it is told."""

    name = "authtest"

    def __init__(self, say: Callable[[bytes, bytes, str], Verdict]) -> None:
        self._say = say

    def version(self) -> None:
        return None

    def missing(self, service: str) -> str:
        return ""

    def __call__(self, name: bytes, password: bytes, service: str) -> Verdict:
        return self._say(name, password, service)


def test_names_with_and_without_a_local_domain(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for user in ("ari", "ARI", "ari@mail.xeris.com", "Ari@XERIS.com", " ari "):
            assert await clerk.ask(user, "aripass") == OK
        for user in ("ari@example.org", "@xeris.com", "a@ri@xeris.com"):
            assert await clerk.ask(user, "aripass") == NO

    consult(root, talk)


def test_an_account_with_capitals_in_its_name_logs_in_where_it_gets_mail(root: Path) -> None:
    (root / "users/assign").write_text("=ari:Ari:2001:2001:/home/ari:::\n.\n")
    (root / "auth/passwd").write_text(f"Ari:{CHEAP.hash(b'aripass')}\n")

    async def talk(clerk: Clerk) -> None:
        for user in ("Ari", "ari", "ARI@xeris.com"):
            assert await clerk.ask(user, "aripass") == {**OK, "name": "Ari"}

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

        clerk.verifier._modules = (Says(counting),)
        for _ in range(20):
            assert await clerk.ask("ari", "aripass") == OK
        assert calls == [b"ari"]

    consult(root, talk)


def test_at_most_two_verifications_at_once(root: Path) -> None:
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
        clerk.verifier._modules = (Says(slow),)
        asking = [asyncio.create_task(clerk.ask("ari", f"p{n}", ip=f"10.0.0.{n}")) for n in range(20)]
        assert await asyncio.to_thread(all_busy.wait, 60)
        gate.set()
        assert await asyncio.gather(*asking) == [OK] * 20

    consult(root, talk)
    assert most == [CONCURRENT_VERIFICATIONS]


def test_one_network_does_not_take_all_the_room(root: Path) -> None:
    gate = threading.Event()

    def slow(name: bytes, password: bytes, service: str) -> Verdict:
        gate.wait(60)
        return Verdict.YES

    async def talk(clerk: Clerk) -> None:
        clerk.verifier._modules = (Says(slow),)
        many = MAX_OPEN_PER_NETWORK + 10
        asking = [asyncio.create_task(clerk.ask("ari", f"{number}")) for number in range(many)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [TEMPORARY] * len(done)
        another = asyncio.create_task(clerk.ask("ari", "aripass", ip="192.0.2.1"))
        gate.set()
        assert (await asyncio.gather(*asking)).count(TEMPORARY) >= 10
        assert await another == OK

    consult(root, talk)


def test_the_same_question_at_the_same_time_is_one_attempt(root: Path) -> None:
    calls: list[bytes] = []

    def counting(name: bytes, password: bytes, service: str) -> Verdict:
        calls.append(password)
        return Verdict.NO

    async def talk(clerk: Clerk) -> None:
        clerk.verifier._modules = (Says(counting),)
        assert await asyncio.gather(*[clerk.ask("ari", "wrong") for _ in range(5)]) == [NO] * 5
        assert calls == [b"wrong"]

    consult(root, talk)


def spoil(path: Path) -> None:
    """Make a file unreadable for whatever uid runs the test."""
    path.unlink()
    path.mkdir()


TROUBLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bad line in users/assign": (lambda root: (root / "users/assign").write_text("nonsense\n"), "users/assign:1: "),
    "users/assign cannot be read": (lambda root: spoil(root / "users/assign"), "users/assign: Is a directory"),
    "users/assign is missing": (lambda root: (root / "users/assign").unlink(), "users/assign: No such file"),
    "auth/passwd cannot be read": (lambda root: spoil(root / "auth/passwd"), "auth/passwd: Is a directory"),
    "auth/passwd is missing": (lambda root: (root / "auth/passwd").unlink(), "auth/passwd: No such file"),
    "control/locals cannot be read": (lambda root: spoil(root / "control/locals"), "control/locals: Is a directory"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_what_auth_cannot_read_is_temporary_and_stands_until_it_is_mended(root: Path, trouble: str) -> None:
    break_it, text = TROUBLE[trouble]

    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari@xeris.com", "aripass") == OK
        whole = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        break_it(root)
        for user in ("ari@xeris.com", "nobody@xeris.com"):
            assert await clerk.ask(user, "aripass") == TEMPORARY
        [standing] = clerk.notices.standing
        assert text in standing.text
        for path, content in whole.items():
            if path.is_dir():
                path.rmdir()
            path.write_bytes(content)
        assert await clerk.ask("ari@xeris.com", "aripass") == OK
        assert not clerk.notices.standing and clerk.log[-1] == f"mended: {standing.text}"

    consult(root, talk)


def test_what_is_wrong_at_start_stands_before_anybody_tries(root: Path) -> None:
    (root / "auth/passwd").unlink()

    async def talk(clerk: Clerk) -> None:
        [standing] = clerk.notices.standing
        assert "auth/passwd: No such file" in standing.text

    consult(root, talk)


def test_while_nologin_is_there_nobody_logs_in(root: Path) -> None:
    (root / "control/nologin").write_text("back at noon\n")

    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "aripass") == TEMPORARY
        assert clerk.log == ["refused login 203.0.113.9: pop3 ari: control/nologin is there"]

    consult(root, talk)


def test_what_is_no_request_gets_no(root: Path) -> None:
    async def talk(clerk: Clerk) -> None:
        for payload in (b"", b"nonsense", b"{}" + b" " * 100_000):
            assert json.loads(await clerk.bus.request(ASK_PASS, payload, 5)) == NO

    consult(root, talk)


def test_a_bad_line_locks_one_account_out_stands_and_is_not_shown(root: Path) -> None:
    said: list[str] = []
    notices = Notices(said.append)
    path = root / "auth/passwd"
    path.write_text("joni$argon2secret\nari:" + CHEAP.hash(b"aripass") + "\n:x\n")
    hashes = Hashes(path, notices)
    assert hashes.find(b"ari") is not None and hashes.find(b"joni") is None
    assert said == [f"alert: {path}:1: expected name:hash (and 1 lines more)"]
    path.write_text("joni:$1$salt$md5crypt\n")
    hashes.find(b"joni")
    assert said[1] == f"alert: {path}:1: joni cannot log in; expected an argon2 hash, as passwd makes it"
    path.write_text("joni:!$argon2id$v=19$locked\n\n")
    hashes.find(b"joni")
    assert not notices.standing


def test_unknown_names_cost_what_wrong_passwords_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in CPU time of this thread, so that a busy machine does not matter."""
    from qmail.accounts.hasher import HASHER

    monkeypatch.setattr(auth_module, "_NOBODYS", NOBODYS)
    path = tmp_path / "passwd"
    path.write_text(f"ari:{HASHER.hash(b'aripass')}\nlocked:!\n")
    modules = (UserDb(Hashes(path, Notices(print))),)

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
    def says(verdict: Verdict) -> Says:
        return Says(lambda name, password, service: verdict)

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


@pytest.mark.parametrize("line", [b"mysql", b"authuserdb,authpam", b"", b"  "])
def test_what_is_no_list_of_modules_stops_the_start(root: Path, line: bytes) -> None:
    (root / "control/authmodulelist").write_bytes(line + b"\n")
    with pytest.raises(ControlError, match="authmodulelist:1: expected names of modules, as in authuserdb authpam, "):
        Control(root / "control").check("auth")


def test_an_unknown_module_is_an_alert_and_the_others_answer(root: Path) -> None:
    (root / "control/authmodulelist").write_text("authvchkpw authshadow authuserdb\n")

    async def talk(clerk: Clerk) -> None:
        assert await clerk.ask("ari", "aripass") == OK
        [standing] = clerk.notices.standing
        assert standing.text.startswith("authmodulelist: authvchkpw is unknown and passed over; there are ")
        assert f"authshadow is passed over: {root}/auth/shadow is missing: a copy of /etc/shadow" in clerk.log

    consult(root, talk)


@pytest.mark.parametrize("names", ["authvchkpw authmysql", "authshadow"])
def test_where_no_module_is_left_log_in_is_refused_for_now_and_it_stands(root: Path, names: str) -> None:
    (root / "control/authmodulelist").write_text(f"{names}\n")

    async def talk(clerk: Clerk) -> None:
        for user in ("ari", "nobody"):
            assert await clerk.ask(user, "aripass") == TEMPORARY
        assert [one.text for one in clerk.notices.standing][-1] == (
            "authmodulelist names no module that could verify a password: nobody can log in"
        )

    consult(root, talk)


def test_what_pam_exec_asks_knows_the_hashes_of_passwd(root: Path) -> None:
    environ = {"QMAIL_DIR": str(root), "PAM_USER": "ari"}
    assert pam_userdb.main(environ, b"aripass\0") == 0
    assert [pam_userdb.main(environ, text) for text in (b"wrong\0", b"", b"aripassx\0")] == [1, 1, 1]
    assert pam_userdb.main({**environ, "PAM_USER": "joni"}, b"!\0") == 1
    (root / "auth/passwd").unlink()
    assert pam_userdb.main(environ, b"aripass\0") == 1


def test_pam_answers_in_our_words() -> None:
    assert [pam_verdict(code) for code in (7, 10, 9, 4, 13)] == [
        Verdict.NO,
        Verdict.UNKNOWN,
        Verdict.TEMPORARY,
        Verdict.TEMPORARY,
        Verdict.NO,
    ]
    known = makers(read_paths({"QMAIL_DIR": "/none"}), Control(Path("/none")), Notices(print), 1)
    assert len(read_modules((b"authuserdb", b"authpam"), known, Notices(print), print)) == 2
    assert Pam()(b"ari", b"x", "login") is Verdict.UNKNOWN


def test_pam_without_the_service_s_file_is_temporary_and_stands_until_it_is_there(root: Path) -> None:
    rules = root / "pam.d"
    rules.mkdir()
    for service in ("pop3", "smtp"):
        (rules / service).write_text("auth required pam_deny.so\n")

    async def talk(clerk: Clerk) -> None:
        clerk.verifier._modules = (Pam([rules]),)
        assert await clerk.ask("ari", "aripass", service="imap") == TEMPORARY
        [standing] = clerk.notices.standing
        assert standing.text == (
            f"authpam: {rules}/imap: missing; expected PAM's rules for imap, without which nobody logs in there"
        )
        # As the tutorial prints it, after a comment that names it, too.
        (rules / "imap").write_text("# no pam_pwdb.so\nauth required pam_stack.so service=system-auth\n")
        assert await clerk.ask("ari", "aripass", service="imap") == TEMPORARY
        [standing] = clerk.notices.standing
        assert standing.text.startswith(
            f"authpam: {rules}/imap: names pam_stack.so, which Linux-PAM no longer has: exp"
        )
        (rules / "imap").write_text("auth required pam_deny.so\n")
        assert await clerk.ask("ari", "aripass", service="imap") in (NO, TEMPORARY), "this machine's PAM decides"
        assert not clerk.notices.standing

    consult(root, talk)
