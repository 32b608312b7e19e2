"""Every grammar that reads strangers' bytes, with random ones: only its listed exceptions come out.

Each target starts from the recorded cases and changes them. FUZZ_SECONDS is the time of each (`make fuzz` gives 60);
without it one second, always with the same input. A failure is shrunk and printed by Hypothesis.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from qmail.accounts.assign import Account, Accounts, AssignError
from qmail.bus.talk.messages import Malformed
from qmail.control.bad_addresses import plain_entries
from qmail.control.files import Control
from qmail.control.kinds import Fault
from qmail.control.routing import Routes
from qmail.control.rules import RuleError, parse_rules
from qmail.control.table import TABLE
from qmail.door.session import Ask, Close, Peer, Send, StartTls, Stopping
from qmail.message.address import Address
from qmail.message.envelope import Envelope, EnvelopeError, Origin, Recipient, decode_envelope, encode_envelope
from qmail.message.existence import Exists
from qmail.queue.talk import jobs, reports
from services.delivery.local.plan import candidates, instructions
from services.delivery.local.refusal import Refusal as LocalRefusal
from services.delivery.remote.client import parse_offers
from services.delivery.remote.reply import Reply, ReplyReader, ReplyTooLongError
from services.imap import message as mail
from services.imap.commands import COMMANDS
from services.imap.grammar import mutf7
from services.imap.grammar.command import Bad, parse_command
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.messages import Fetch
from services.imap.grammar.search import Search
from services.imap.search.match import Bounds, bind, matches
from services.imap.search.parse import BadCharset, parse_search
from services.imap.search.sort import sort_key, sort_numbers
from services.imap.search.thread import render_threads, thread_facts, thread_messages
from services.imap.session.dialogue import Terms
from services.imap.session.requests import AppendData, CheckPassword, Execute, IdleBegin, IdleEnd, Refresh
from services.imap.session.results import Answer, LoggedIn, Ready, Updates
from services.imap.session.session import ImapSession
from services.inject.command import Surroundings, inject
from services.inject.replies import Fatal
from services.pop3 import requests as pop3
from services.pop3.transaction import Manner
from services.pop3.transaction import Transaction as Pop3Transaction
from services.queue.decide.message import decode_state
from services.smtpd.data import DataReader, Verdict
from services.smtpd.facts import AskRecipient, Client, Commit, Drop, Login, Store
from services.smtpd.facts import Ready as SmtpReady
from services.smtpd.policy import Policy
from services.smtpd.session import SmtpSession
from tests.support.drafts import ORIGIN

SECONDS = float(os.environ.get("FUZZ_SECONDS", "1"))
ALWAYS_THE_SAME = "FUZZ_SECONDS" not in os.environ
EXAMPLES_A_ROUND = 40
CASES = Path(__file__).parents[1] / "oracle" / "cases"


def fuzz(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Give inputs to `check` until the time is over, in rounds; each round has a seed of its own."""
    until = time.monotonic() + SECONDS
    numbers = random.Random(0 if ALWAYS_THE_SAME else None)
    while time.monotonic() < until:

        @seed(numbers.getrandbits(64))
        @settings(max_examples=EXAMPLES_A_ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def a_round(value: Any) -> None:
            check(value)

        a_round()


# --- seeds: recorded cases, and changes to them ---


def cases(name: str) -> Iterator[dict[str, Any]]:
    with (CASES / f"{name}.jsonl").open() as lines:
        yield from map(json.loads, lines)


def octets(text: Any) -> bytes:
    """The bytes of a recorded text."""
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()


def inputs(name: str, key: str = "stdin") -> list[bytes]:
    """The different inputs of a kind; long ones cut, so that octet by octet stays quick."""
    found = {octets(case["input"][key])[:4096]: None for case in cases(name) if key in case["input"]}
    return list(found)


def changed(seeds: Sequence[bytes], words: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A seed with pieces taken out, doubled, replaced, put in, or joined with another's."""
    piece = st.sampled_from(words) | st.binary(max_size=8)
    edit = st.tuples(
        st.sampled_from(("insert", "delete", "double", "replace", "repeat", "join")),
        st.integers(0, 2**16),
        st.integers(0, 64),
        piece,
        st.sampled_from(seeds),
    )
    return st.tuples(st.sampled_from(seeds) | st.just(b""), st.lists(edit, max_size=6)).map(_apply)


def _apply(value: tuple[bytes, list[tuple[str, int, int, bytes, bytes]]]) -> bytes:
    data, edits = value
    for act, where, length, piece, other in edits:
        at = where % (len(data) + 1)
        end = at + length
        if act == "insert":
            data = data[:at] + piece + data[at:]
        elif act == "delete":
            data = data[:at] + data[end:]
        elif act == "double":
            data = data[:end] + data[at:]
        elif act == "replace":
            data = data[:at] + piece + data[at + len(piece) :]
        elif act == "repeat":
            data = data[:at] + piece * (length * length) + data[at:]
        else:
            data = data[:at] + other[at:]
    return data[:60_000]


def octet_by_octet(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def joined(seen: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Neighbouring pieces of the same kind in one: how text is cut is nobody's promise."""
    out: list[tuple[str, Any]] = []
    for kind, value in seen:
        if out and out[-1][0] == kind and kind in ("text", "octets"):
            out[-1] = (kind, out[-1][1] + value)
        else:
            out.append((kind, value))
    return [item for item in out if item[1] != b""]


# --- SMTP ---

SMTP_WORDS = (
    b"\r\n", b"\n", b"\r", b".\r\n", b"\r\n.\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<joni@xeris.com>\r\n", b"DATA\r\n",
    b"EHLO x\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"AUTH LOGIN\r\n", b"YQ==\r\n", b"=", b"*", b"RSET\r\n",
    b" SIZE=", b" BODY=8BITMIME", b"<@a,@b:", b'"', b"\\", b"\0", b"@[127.0.0.1]>", b"@[1", b"9" * 5000, b"\xff", b"<",
    b"Received: x\r\n", b"QUIT\r\n", b"x" * 3000,
)  # fmt: skip
POLICY = Policy(
    greeting=b"mail.xeris.com",
    extensions=True,
    timeout_seconds=300,
    databytes=10_000,
    max_recipients=3,
    local_ip_host=b"mail.xeris.com",
    local_ips=frozenset({"127.0.0.1"}),
    bad_mail_from=plain_entries({b"bad@x"}),
    rcpthosts=frozenset({b"xeris.com"}),
    rcpthosts_missing=False,
    routes=Routes(
        locals=frozenset({b"xeris.com", b"mail.xeris.com"}),
        virtualdomains={b"virtual.org": b"joni"},
        percenthack=frozenset({b"hack.org"}),
        envnoathost=b"mail.xeris.com",
    ),
)


def smtp_answer(request: object) -> object:
    if isinstance(request, Commit):
        return 7
    if isinstance(request, AskRecipient):
        return Exists.NO if request.address.raw.startswith(b"no") else Exists.OK
    if isinstance(request, Login):
        return b"joni" if request.password else None
    assert isinstance(request, SmtpReady | Store | Drop)
    return True


def smtp_run(session: SmtpSession, pieces: list[bytes], fails: bool) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    body = b""
    for effects in (session.connected(), *_lazily(session.received, pieces)):
        pending = list(effects)
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, Send):
                seen.append(("text", effect.data))
            elif isinstance(effect, Ask):
                assert not pending, "nothing may follow a question"
                request = effect.request
                if isinstance(request, Store):
                    body += request.chunk
                elif isinstance(request, Commit):
                    seen.append(("commit", (replace(request.draft, prefix=b""), body + request.chunk)))
                    body = b""
                else:
                    seen.append(("ask", request))
                failed = fails and not isinstance(request, SmtpReady)
                pending = list(session.failed(OSError()) if failed else session.answered(smtp_answer(request)))
            else:
                seen.append((type(effect).__name__, None))
                return joined(seen)
    return joined(seen)


def _lazily(received: Callable[[bytes], Any], pieces: list[bytes]) -> Iterator[Any]:
    for piece in pieces:
        yield received(piece)


@pytest.mark.parametrize("extensions", [True, False])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<a@b>\r\nRCPT TO:<j@xeris.com>\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN\r\n",
    ],
    ids=["start", "mail", "rcpt", "auth plain", "auth login"],
)
def test_smtp_dialogue(before: bytes, extensions: bool) -> None:
    client = Client(remote_ip=b"192.0.2.1", auth_offered=True, tls_offered=True)
    policy = replace(POLICY, extensions=extensions)

    def check(value: tuple[bytes, bool]) -> None:
        data, fails = before + value[0], value[1]
        made = [SmtpSession(policy, client, ORIGIN, lambda: 0.0) for _ in range(2)]
        whole = smtp_run(made[0], [data], fails)
        assert smtp_run(made[1], octet_by_octet(data), fails) == whole
        assert made[0].dialogue.state is made[1].dialogue.state
        for session in made:
            session.notified(Stopping())
            session.timed_out()

    fuzz(st.tuples(changed(inputs("smtpd"), SMTP_WORDS), st.booleans()), check)


def test_data_reader() -> None:
    def read(pieces: list[bytes], limit: int) -> tuple[Any, ...]:
        reader, text = DataReader(limit), b""
        for number, piece in enumerate(pieces):
            verdict, part = reader.take(piece)
            text += part
            if verdict is Verdict.STRAY_NEWLINE:
                return (verdict,)
            if verdict is Verdict.END:
                rest = reader.rest + b"".join(pieces[number + 1 :])
                return verdict, b"" if reader.too_big else text, reader.size_bytes, reader.hops, rest
        return (Verdict.MORE,)

    def check(value: tuple[bytes, int]) -> None:
        data, limit = value
        assert read([data], limit) == read(octet_by_octet(data), limit)

    words = (b"\r\n", b"\r\n.", b".", b"\r", b"\n", b"\r\n.\r\n", b"..", b"Received:", b"delivered", b"\r\n\r\n")
    texts = [text.partition(b"data\r\n")[2] or text for text in inputs("smtpd")]
    fuzz(st.tuples(changed(texts, words), st.sampled_from((0, 1, 50))), check)


def test_tcp_rules() -> None:
    seeds = [
        b'127.0.0.1:allow,RELAYCLIENT=""\n192.168.1.1-20:deny\n:allow\n',
        b'10.:allow,RELAYCLIENT="",DATABYTES="100"\n=.xeris.com:allow\nfe80::1:allow\n#x\n',
    ]
    words = (
        b":allow",
        b":deny",
        b",A=",
        b'"',
        b"1-255.",
        b"1-1.",
        b"0-9",
        b"=",
        b".",
        b":",
        b"::1",
        b"\n",
        b"@",
        b"9" * 30,
    )

    def check(content: bytes) -> None:
        try:
            rules = parse_rules(content)
        except RuleError as error:
            assert str(error).startswith("line ")
        else:
            for ip in ("127.0.0.1", "192.168.1.7", "fe80::1", ""):
                rules.find(ip, "mail.xeris.com")

    fuzz(changed(seeds, words), check)


def test_control_files() -> None:
    words = (
        b"\r\n", b"\n", b" ", b"\t", b"#", b":", b"@", b".", b"[", b"]", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"9" * 30,
        b"127.0.0.1", b"[IPv6:::1]", b":25", b"none", b"allow",
    )  # fmt: skip
    seeds = [b"xeris.com\r\n.xeris.com\n", b"virt.org:joni\n:all\n", b"1000\n", b"127.0.0.1\n[::1]\n", b"./Maildir/\n"]

    def check(given: tuple[bytes, bool]) -> None:
        content, exact = given
        for file in TABLE:
            value = file.parse(content, exact=exact)
            if isinstance(value, Fault):
                assert str(value).isprintable() and value.line <= content.count(b"\n") + 1

    fuzz(st.tuples(changed(seeds, words), st.booleans()), check)


# --- POP3 ---

POP3_WORDS = (
    b"\r\n", b"\n", b"USER ari\r\n", b"PASS x\r\n", b"RETR 1\r\n", b"TOP 1 0\r\n", b"DELE 2\r\n", b"STAT\r\n",
    b"RSET\r\n", b"AUTH PLAIN\r\n", b"AGEAYg==\r\n", b"STLS\r\n", b"CAPA\r\n", b"UIDL 1\r\n", b"LAST\r\n",
    b"QUIT\r\n", b"APOP a b\r\n", b"9" * 5000, b"-1", b" ", b"\0", b"\xff", b"*\r\n", b"x" * 9000,
)  # fmt: skip
DROP = pop3.LoggedIn(tuple(pop3.Message(b"new/1.%d" % n, b"1.%d" % n, n == 1, 100 * n) for n in (1, 2, 3)))


def pop3_run(session: Pop3Transaction, pieces: list[bytes], fails: bool) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    peer = Peer("127.0.0.1", 40000, "127.0.0.1", 110, False)
    for effects in (session.connected(peer), *_lazily(session.received, pieces)):
        pending = list(effects)
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, Send):
                seen.append(("text", effect.data))
            elif isinstance(effect, Ask):
                assert not pending, "nothing may follow a question"
                request = effect.request
                answer: object = True
                if isinstance(request, pop3.Login):
                    answer = pop3.Refusal.WRONG if request.password == b"no" else DROP
                if isinstance(request, pop3.Write):
                    seen.append(("text", b"".join(request.pieces)))
                else:
                    seen.append(("ask", request))
                pending = list(session.failed(OSError()) if fails else session.answered(answer))
            else:
                seen.append((type(effect).__name__, None))
                return joined(seen)
    return joined(seen)


@pytest.mark.parametrize("classic", [True, False])
@pytest.mark.parametrize("before", [b"", b"USER ari\r\nPASS x\r\n"], ids=["authorization", "transaction"])
def test_pop3_transaction(before: bytes, classic: bool) -> None:
    manner = Manner(timestamp=b"<1.2@mail.xeris.com>", classic=classic, tls_available=True, address="127.0.0.1")

    def check(value: tuple[bytes, bool]) -> None:
        data, fails = before + value[0], value[1]
        made = [Pop3Transaction(manner) for _ in range(2)]
        whole = pop3_run(made[0], [data], fails)
        by_octets = pop3_run(made[1], octet_by_octet(data), fails)
        # qmail-popup loses what it read ahead at the password: there the cuts count.
        assert classic or by_octets == whole

    fuzz(st.tuples(changed(inputs("pop3d"), POP3_WORDS), st.booleans()), check)


# --- IMAP ---

IMAP_SEEDS = (
    b"a LOGIN joni x\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (From To)]<0.10>)\r\nd LOGOUT\r\n",
    b'a LOGIN {4}\r\njoni {1+}\r\nx\r\nb APPEND INBOX (\\Seen) " 1-Jan-2003 00:00:00 +0700" {5+}\r\nabcde\r\n',
    b"a AUTHENTICATE PLAIN\r\nAGEAYg==\r\nb IDLE\r\nDONE\r\nc UID STORE 1,3:* +FLAGS.SILENT (\\Deleted x)\r\n",
    b'a LOGIN a b\r\nb LIST (SUBSCRIBED) "" (% *) RETURN (CHILDREN STATUS (MESSAGES))\r\nc ID ("a" NIL)\r\n',
    b"a LOGIN a b\r\nb SELECT x\r\nc UID SEARCH RETURN (MIN COUNT) CHARSET utf-8 OR (FROM a) NOT BODY {1}\r\nb\r\n"
    b"d SORT (REVERSE DATE) us-ascii ALL\r\ne UID THREAD REFERENCES utf-8 SINCE 1-Feb-2003\r\n",
    b'a LOGIN a b\r\nb SELECT x\r\nc UID SEARCH RETURN (SAVE UPDATE PARTIAL 1:5) ALL\r\nd CANCELUPDATE "c"\r\n'
    b"e UID FETCH $ (PREVIEW (LAZY) SAVEDATE EMAILID) (PARTIAL -1:-5)\r\nf STATUS x (SIZE DELETED MAILBOXID)\r\n",
    b'a LOGIN a b\r\nb GETQUOTAROOT INBOX\r\nc SETQUOTA "" (STORAGE 512)\r\nd SETACL INBOX diva +lr\r\n'
    b'i XLIST "" "*"\r\nj LIST "" % RETURN (MYRIGHTS)\r\n'
    b"e LISTRIGHTS x y\r\nf DELETEACL x y\r\ng MYRIGHTS x\r\nh GETQUOTA ROOT\r\n",
    b"a LOGIN a b\r\nb ENABLE QRESYNC\r\nc SELECT x (QRESYNC (7 9 1:5 (1:3 2:4)))\r\nd EXAMINE x (CONDSTORE)\r\n"
    b"e UID FETCH 1:* (MODSEQ) (CHANGEDSINCE 5 VANISHED)\r\nf STORE 1 (UNCHANGEDSINCE 7) +FLAGS x\r\n"
    b'g SEARCH MODSEQ "/flags/\\\\draft" all 5 MODSEQ 9\r\n',
    b"a LOGIN a b\r\nb APPEND INBOX {3+}\r\nabc (\\Flagged) {3+}\r\nabc\r\nc UID COPY 1 x\r\nd MOVE 2:4 {1+}\r\ny\r\n",
)
IMAP_WORDS = (
    b"\r\n", b"\n", b"{0}\r\n", b"{0+}\r\n", b"{0+}\n", b"{1+}\r\n", b"{3}", b"{99999999999+}", b"(", b")", b'"', b"\\",
    b"*", b"BODY[", b"1.HEADER]", b"<0.1>", b"9" * 5000, b":", b",", b"APPEND INBOX ", b"IDLE\r\n", b"DONE\r\n",
    b"x" * 9000, b"STARTTLS\r\n", b"NOT ", b"OR ", b"\0", b"\xff", b"&AOQ-", b"%", b"a NOOP\r\n", b"z SEARCH ",
)  # fmt: skip
JONI = LoggedIn(Account(b"joni", 2001, 2001, Path("/home/joni")))


def imap_answer(request: object) -> object:
    match request:
        case CheckPassword():
            return JONI
        case IdleBegin() | IdleEnd() | Refresh():
            return Updates(())
        case Execute(_, command) if command.name in (b"SELECT", b"EXAMINE"):
            return Answer(b"OK", b"done", selected=True)
        case Execute():
            return Answer(b"OK", b"done")
    return Answer(b"OK", b"done") if type(request).__name__ == "AppendCommit" else Ready()


def imap_run(pieces: list[bytes], fails: bool) -> list[tuple[str, Any]]:
    session = ImapSession(COMMANDS, Terms(plain_allowed=lambda _: True, tls_available=lambda: True))
    seen: list[tuple[str, Any]] = []
    peer = Peer("192.0.2.1", 40000, "192.0.2.2", 143, False)
    for effects in (session.connected(peer), *_lazily(session.received, pieces)):
        pending = list(effects)
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, Send):
                seen.append(("text", effect.data))
            elif isinstance(effect, Ask):
                assert not pending, "nothing may follow a question"
                request = effect.request
                seen.append(("octets", request.data) if isinstance(request, AppendData) else ("ask", request))
                failed = fails and isinstance(request, Execute) and isinstance(request.arguments, Fetch)
                pending = list(session.failed(OSError()) if failed else session.answered(imap_answer(request)))
            else:
                assert isinstance(effect, StartTls | Close)
                seen.append((type(effect).__name__, None))
                return joined(seen)
    return joined(seen)


def test_imap_session() -> None:
    def check(value: tuple[bytes, bool]) -> None:
        data, fails = value
        assert imap_run(octet_by_octet(data), fails) == imap_run([data], fails)

    fuzz(st.tuples(changed(IMAP_SEEDS, IMAP_WORDS), st.booleans()), check)


@pytest.mark.parametrize("length", range(65_530, 65_545))
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_imap_line_at_its_bound(length: int, end: bytes) -> None:
    data = b"a NOOP " + b"x" * (length - 7) + end + b"b NOOP\r\n"
    assert imap_run(octet_by_octet(data), False) == imap_run([data], False)


def test_imap_commands() -> None:
    lines = [line for seed_ in IMAP_SEEDS for line in seed_.split(b"\r\n")]

    def check(parts: list[bytes]) -> None:
        # As the reader gives them: text, literal, text, ... text.
        parsed = parse_command(tuple(parts) if len(parts) % 2 else (*parts, b""), COMMANDS)
        assert isinstance(parsed, Bad) or isinstance(parsed[0], bytes)

    fuzz(st.lists(changed(lines, IMAP_WORDS), min_size=1, max_size=3), check)


class View:
    """A message as SEARCH, SORT and THREAD see it."""

    def __init__(self, raw: bytes, number: int) -> None:
        self.seq = self.uid = number
        self.flags = frozenset((b"\\Seen",))
        self.keywords = frozenset((b"$junk",))
        self.internaldate = self.savedate = 1_053_700_000
        self._raw = raw

    def modseq(self) -> int:
        return 1

    def email_id(self) -> bytes:
        return b"M0"

    def size(self) -> int:
        return mail.rfc822_size(self.message().text)

    def header(self) -> list[mail.Field]:
        return mail.read_header(self._raw)

    def message(self) -> mail.Message:
        return mail.parse(self._raw)


MESSAGES = [base64.b64decode(case["raw_b64"]) for case in cases("imap_oracle")]
SMALL_MESSAGES = [raw[:8000] for raw in MESSAGES]
MESSAGE_WORDS = (
    b"\n\n", b"\n", b"\r\n", b"--", b"--x\n", b"Content-Type: multipart/mixed; boundary=x\n", b"boundary=", b'"', b"(",
    b")", b"<", b">", b"=?utf-8?q?=ff?=", b"=?utf-7?b?AA==?=", b"Content-Type: message/rfc822\n", b"charset=", b";",
    b"*0*=", b"Date: Mon, 99 Foo 99999 99:99:99 +9999\n", b"References: <a> <b>\n", b"In-Reply-To: <a>\n", b"\0",
    b"\xff", b",", b"9" * 5000, b"Content-Transfer-Encoding: base64\n", b"Subject: Re: [x] Fwd:\n",
)  # fmt: skip


def test_imap_message() -> None:
    specs = [mail.SectionSpec((), name) for name in (None, "HEADER", "TEXT")]
    specs += [mail.SectionSpec((1,)), mail.SectionSpec((1, 1), "MIME"), mail.SectionSpec((2,), "HEADER")]

    def check(raw: bytes) -> None:
        message = mail.parse(raw)
        for shown in (mail.envelope(message), mail.body(message), mail.bodystructure(message)):
            assert shown.startswith(b"(") and shown.endswith(b")")
        assert mail.rfc822_size(message.text) >= len(raw)
        for spec in specs:
            mail.section(message, spec)
            mail.section(message, spec, (1, 10))

    fuzz(changed(SMALL_MESSAGES, MESSAGE_WORDS), check)


SEARCHES = (
    b"a SEARCH 1:* UID 2,4 NOT DELETED OR FROM x (TO y SUBJECT z)",
    b"a SEARCH CHARSET utf-8 BODY x TEXT y HEADER Message-ID <a>",
    b"a SORT RETURN (MIN COUNT) (REVERSE DATE SUBJECT) UTF-8 OR FROM x TO y",
    b"a UID SEARCH RETURN (SAVE PARTIAL -1:-9 UPDATE) OLDER 5 YOUNGER 9 UID $ SAVEDON 1-Feb-2003 EMAILID M1 THREADID T",
    b"a UID THREAD REFERENCES US-ASCII NOT SEEN",
    b"a SEARCH SINCE 1-Feb-2003 SENTBEFORE 2-Mar-2003 ON 4-Apr-2003 LARGER 10 SMALLER 99999 KEYWORD x UNKEYWORD y",
)
SEARCH_WORDS = (
    b"(", b")", b"NOT ", b"OR ", b"ALL ", b"1:*", b"*", b'"', b"FROM ", b"CHARSET utf-7 ", b"CHARSET x ", b"BODY ",
    b"HEADER ", b"9" * 5000, b" ", b"SINCE ", b"31-Feb-2003 ", b"0-Jan-0000", b"\\", b"YOUNGER 3 ",
)  # fmt: skip


def test_imap_search() -> None:
    def check(value: tuple[bytes, bytes]) -> None:
        parsed = parse_command((value[0],), COMMANDS)
        if isinstance(parsed, Bad) or not isinstance(parsed[2], Search):
            return
        try:
            key = parse_search(parsed[2].keys, parsed[2].charset)
        except (BadSyntax, BadCharset):
            return
        assert matches(bind(key, Bounds(exists=1, largest_uid=1)), View(value[1], 1)) in (True, False)

    fuzz(st.tuples(changed(SEARCHES, SEARCH_WORDS), changed(SMALL_MESSAGES, MESSAGE_WORDS)), check)


def test_imap_sort_and_thread() -> None:
    criteria = [(name, False) for name in (b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO")]

    def check(raws: list[bytes]) -> None:
        views = [View(raw, number) for number, raw in enumerate(raws, 1)]
        keyed = [(sort_key(criteria, view), view.seq) for view in views]
        assert sorted(sort_numbers(criteria, keyed)) == list(range(1, len(views) + 1))
        facts = [thread_facts(view, uid=False) for view in views]
        for algorithm in (b"ORDEREDSUBJECT", b"REFERENCES", b"REFS"):
            render_threads(thread_messages(algorithm, facts))

    fuzz(st.lists(changed([raw[:1500] for raw in MESSAGES], MESSAGE_WORDS), max_size=6), check)


def test_modified_utf7() -> None:
    def check(value: tuple[str, bytes]) -> None:
        text, name = value
        if not any("\ud800" <= letter <= "\udfff" for letter in text):
            assert mutf7.decode(mutf7.encode(text)) == text
        decoded = mutf7.decode(name)
        if decoded is not None:
            assert mutf7.decode(mutf7.encode(decoded)) == decoded

    names = changed((b"Entw&APw-rfe", b"&ZeVnLIqe-", b"a&-b", b"&2D3cAA-"), (b"&", b"-", b"&-", b",", b"2D0", b"AA"))
    letters = st.text(st.characters(codec=None, categories=None))
    fuzz(st.tuples(letters, names), check)


# --- deliveries ---


def replies_of_servers() -> list[bytes]:
    found: list[bytes] = []
    for case in cases("remote"):
        for server in case["input"].get("servers", ()):
            for steps in server["connections"]:
                found.append(b"".join(octets(step["send"]) for step in steps if "send" in step)[:4096])
    return found or [b"220 x\r\n"]


def test_smtp_client_replies() -> None:
    def read(pieces: list[bytes]) -> list[Reply | str]:
        reader = ReplyReader()
        found: list[Reply | str] = []
        for piece in pieces:
            reader.feed(piece)
            try:
                while (reply := reader.next()) is not None:
                    parse_offers(reply.text)
                    found.append(reply)
            except ReplyTooLongError:
                return [*found, "too long"]
        return found

    def check(data: bytes) -> None:
        assert read([data]) == read(octet_by_octet(data))

    words = (b"250-", b"250 ok\r\n", b"\n", b"\r", b"-", b"xyz", b"250-SIZE ", b"9" * 5000, b"\0", b"250-x\n", b"AUTH=")
    fuzz(changed(replies_of_servers(), words), check)


def test_dot_qmail() -> None:
    seeds = [
        octets(file["content"]) for case in cases("local_plan") for file in case["input"]["files"] if "content" in file
    ]

    def check(value: tuple[bytes, bool, bytes]) -> None:
        content, forward_only, ext = value
        with contextlib.suppress(LocalRefusal):
            list(instructions(content, forward_only=forward_only))
        names = [candidate.name for candidate in candidates(b"-", ext)]
        assert all(b"." not in name.removeprefix(b".qmail") for name in names)

    words = (b"\n", b"|", b"&", b"/", b"./", b"+list", b"#", b" ", b"\t", b"\0", b"default", b"-")
    fuzz(st.tuples(changed(seeds, words), st.booleans(), changed((b"a-b.c", b"default"), words)), check)


def test_users_assign(tmp_path: Path) -> None:
    path = tmp_path / "assign"
    words = (b":", b"=", b"+", b".\n", b"\n", b"/home", b"-", b"9" * 5000, b"\0", b"\xff", b"0")
    seeds = [b"=joni:joni:2001:2001:/home/joni:::\n+joni-:joni:2001:2001:/home/joni:-::\n+:alias:7:7:/alias:-::\n.\n"]

    def check(value: tuple[bytes, bytes]) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(value[0])
        accounts = Accounts(path)
        try:
            accounts.find(value[1])
            accounts.named(b"joni")
            accounts.all()
        except AssignError:
            pass

    fuzz(st.tuples(changed(seeds, words), st.sampled_from((b"joni", b"joni-x", b"", b"\xff", b"JONI"))), check)


# --- records ---

ENVELOPE = Envelope(
    id=1,
    time_ms=2,
    size_bytes=4,
    chunk_count=0,
    origin=Origin(uid=3, role="smtpd", helo=b"\xff"),
    sender=Address(b"a@b"),
    recipients=(Recipient(Address(b"joni@xeris.com")),),
    prefix=b"Received: x\n",
)
RECORDS = (
    encode_envelope(ENVELOPE),
    json.dumps(
        {"v": 1, "envelope": encode_envelope(ENVELOPE).decode(), "place": [1, 1, 0, 0], "held": False, "bounce": "",
         "undone": {"local": [0]}, "attempts": {"local": 1}, "due": {"local": 5}, "to": {"0": "a"}, "bounce_id": 0,
         "last": {"0": "x"}}
    ).encode(),
    b'{"v":1,"epoch":3,"jobs":[[1,0,1,false,[1,1,0,0],"a@b","c@d"]]}',
    b'{"v":1,"worker":"w","reports":[[1,0,1,"K","did 1+0+0\\n"]]}',
    b'{"v":1,"worker":"w","running":[[1,0,1]]}',
    b'{"confirmed":[[1,0,1]]}',
)  # fmt: skip
RECORD_WORDS = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"1e999", b"-1", b'"\\u1234"', b"true", b"[" * 5000, b"NaN",
    b"9" * 5000, b"{}", b"[]", b"\xff", b'"\\ud800"',
)  # fmt: skip


@pytest.mark.parametrize(
    ("decode", "allowed"),
    [
        (decode_envelope, EnvelopeError),
        (decode_state, EnvelopeError),
        (jobs.decode, Malformed),
        (reports.decode_reports, Malformed),
        (reports.decode_heartbeat, Malformed),
        (reports.decode_confirmation, Malformed),
    ],
)
def test_records(decode: Callable[[bytes], object], allowed: type[Exception]) -> None:
    def check(record: bytes) -> None:
        with contextlib.suppress(allowed):
            decode(record)

    fuzz(changed(RECORDS, RECORD_WORDS), check)


# --- qmail-inject ---


class Taken:
    """Stands for the queue."""

    def open(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def finish(self, sender: Address, recipients: Any) -> int:
        return 0


def test_inject(tmp_path: Path) -> None:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    control = Control(tmp_path)
    words = (
        b"To: ", b"Cc:", b"Bcc: a\n", b"\n", b" ", b"<", b">", b"(", b")", b'"', b"\\", b",", b";", b":", b"@", b"[",
        b"]", b"+", b".", b"Resent-To: ", b"Mail-Followup-To:", b"Return-Path: <@[]>\n", b"\0", b"\xff", b"(" * 3000,
        b"a,",
    )  # fmt: skip

    def check(value: tuple[bytes, bytes]) -> None:
        stdin, letters = value
        around = Surroundings(
            environ={b"USER": b"joni", b"QMAILINJECT": letters},
            control=control,
            stdin=io.BytesIO(stdin),
            stdout=io.BytesIO(),
            queue=Taken(),
        )
        with contextlib.suppress(Fatal):
            inject([b"-n"] if b"n" in letters else [b"joe"], around)

    fuzz(st.tuples(changed(inputs("inject"), words), st.sampled_from((b"", b"csfirm", b"rn", b"m"))), check)
