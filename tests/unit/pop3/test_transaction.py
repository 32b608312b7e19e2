"""The dialogue without sockets: every verb in every state, every cut, both manners."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmail.door.session import Ask, Close, Effect, Peer, Send, StartTls, Stopping
from services.pop3 import replies
from services.pop3.grammar import unique_id
from services.pop3.requests import LoggedIn, Login, Message, Refusal, Retrieve, Update, Write
from services.pop3.transaction import CLASSIC, EXTENDED, Manner, State, Transaction

MESSAGES = tuple(Message(b"m%d" % n, b"m%d" % n, n != 2, n * 100) for n in (1, 2, 3))
LOCAL = Peer("127.0.0.1", 4000, "127.0.0.1", 110, False)
REMOTE = Peer("203.0.113.9", 4000, "192.0.2.1", 110, False)
TIMESTAMP = b"<1.2@mail.xeris.com>"
VERBS = sorted({verb for tables in (CLASSIC, EXTENDED) for table in tables.values() for verb in table} | {b"xyz", b""})


class Talk:
    """Answers a session's questions as a handler would."""

    def __init__(
        self, *, classic: bool = False, tls: bool = False, peer: Peer = LOCAL, address: str = "192.0.2.1"
    ) -> None:
        self.session = Transaction(Manner(timestamp=TIMESTAMP, classic=classic, tls_available=tls, address=address))
        self.asked: list[object] = []
        self.login: LoggedIn | Refusal | BaseException = LoggedIn(MESSAGES)
        self.openable = True
        self.closed = False
        self.securing = False
        self.said = self._carry_out(self.session.connected(peer))

    def __call__(self, data: bytes) -> bytes:
        return self._carry_out(self.session.received(data))

    def _carry_out(self, effects: Sequence[Effect]) -> bytes:
        out = b""
        for number, effect in enumerate(effects):
            assert not self.closed
            if isinstance(effect, Send):
                out += effect.data
            elif isinstance(effect, Close):
                self.closed = True
            elif isinstance(effect, StartTls):
                self.securing = True
            else:
                assert number == len(effects) - 1, "something after an Ask"
                out += self._answer(effect)
        return out

    def _answer(self, ask: Ask) -> bytes:
        request = ask.request
        self.asked.append(request)
        if isinstance(request, Login):
            if isinstance(self.login, BaseException):
                return self._carry_out(self.session.failed(self.login))
            return self._carry_out(self.session.answered(self.login))
        if isinstance(request, Write):
            return b"".join(request.pieces) + self._carry_out(self.session.answered(None))
        if isinstance(request, Retrieve):
            body = b"+OK \r\n<%s>\r\n" % request.message.name if self.openable else b""
            return body + self._carry_out(self.session.answered(self.openable))
        assert isinstance(request, Update)
        return self._carry_out(self.session.answered(self.openable))


def logged_in(**options: bool) -> Talk:
    talk = Talk(**options)  # type: ignore[arg-type]
    assert talk(b"user ari\r\n") + talk(b"pass aripass\r\n") == b"+OK \r\n+OK \r\n"
    return talk


def test_the_tutorials_dialogue_as_printed() -> None:
    """Chapter 6.5."""
    assert Talk(classic=True).said == b"+OK <1.2@mail.xeris.com>\r\n"
    talk = Talk()
    assert talk(b"user ari\r\n") == b"+OK \r\n"
    assert talk(b"pass aripass\r\n") == b"+OK \r\n"
    assert talk(b"list\r\n") == b"+OK \r\n1 100\r\n2 200\r\n3 300\r\n.\r\n"
    assert talk(b"retr 1\r\n") == b"+OK \r\n<m1>\r\n.\r\n"
    assert talk(b"quit\r\n") == b"+OK \r\n"
    assert talk.closed
    assert talk.asked[-1] == Update((), (MESSAGES[0], MESSAGES[2]))


ARGUMENTS = (b"", b" 1", b" 2 0", b" 9", b" 0", b" x", b" -1", b" " + b"9" * 5000, b" \xff\0")


@pytest.mark.parametrize("classic", [True, False])
@pytest.mark.parametrize("state", list(State))
def test_every_verb_in_every_state_gives_one_answer(classic: bool, state: State) -> None:
    for verb, argument in product(VERBS, ARGUMENTS):
        talk = logged_in(classic=classic) if state is State.TRANSACTION else Talk(classic=classic)
        answer = talk(verb + argument + b"\r\n")
        assert answer.startswith((b"+OK", b"-ERR", b"+ ")), (verb, argument)
        if verb not in (CLASSIC if classic else EXTENDED)[state]:
            assert answer in (replies.UNIMPLEMENTED, replies.AUTHORIZATION_FIRST), (verb, argument)
        assert talk.closed == (verb == b"quit"), (verb, argument)


SESSIONS = [
    b"user ari\r\npass aripass\r\nstat\r\nuidl\r\nlist 2\r\ntop 3 1\r\ndele 1\r\nuidl\r\nrset\r\ndele 3\r\nquit\r\n",
    b"noop\r\nxyz\r\nstat\r\nuser ari\npass x y \nlast\ndele 2\nlast\ncapa\nretr 2\nretr 9\nquit\nnoop\n",
    b"capa\r\nauth plain\r\n" + base64.b64encode(b"\0ari\0aripass") + b"\r\nlist\r\nquit\r\n",
    b"x" * 9000 + b"\r\nuser ari\r\npass aripass\r\nlist 1\r\n",
]


@pytest.mark.parametrize("session", SESSIONS)
def test_the_cut_of_the_bytes_changes_nothing(session: bytes) -> None:
    whole = Talk()
    expected = whole(session)
    step = 1 if len(session) < 1000 else 131
    for at in range(0, len(session), step):
        talk = Talk()
        said = talk(session[:at])
        if not talk.closed:
            said += talk(session[at:])
        assert (said, talk.closed, talk.asked[:1]) == (expected, whole.closed, whole.asked[:1])


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*VERBS, b" ", b"1", b"\r\n", b"\n", b"\xff", b"\0"])).map(b"".join), st.booleans())
def test_no_input_breaks_a_session(data: bytes, classic: bool) -> None:
    talk = logged_in(classic=classic)
    talk(data + b"\r\n")
    talk.session.timed_out()
    talk.session.eof()


def test_classic_loses_what_came_with_the_password_and_extended_obeys_it() -> None:
    both = b"user ari\r\npass aripass\r\nstat\r\n"
    assert Talk(classic=True)(both) == b"+OK \r\n+OK \r\n"
    assert Talk()(both) == b"+OK \r\n+OK \r\n+OK 3 600\r\n"


def test_stat_counts_as_each_manner_does() -> None:
    assert logged_in(classic=True)(b"dele 1\r\nstat\r\n") == b"+OK \r\n+OK 3 500\r\n"
    assert logged_in()(b"dele 1\r\nstat\r\n") == b"+OK \r\n+OK 2 500\r\n"


def test_numbers_are_strict_without_classic_so_that_nothing_is_deleted_by_wrapping() -> None:
    for number in (b"18446744073709551617", b"1x", b"+1", b"1\t"):
        talk = logged_in()
        assert talk(b"dele " + number + b"\r\n").startswith(b"-ERR")
        talk(b"quit\r\n")
        update = talk.asked[-1]
        assert isinstance(update, Update) and update.deleted == ()
    assert logged_in()(b"list 01\r\nlist 1 \r\n") == b"+OK 1 100\r\n" * 2


def test_nothing_is_deleted_without_quit() -> None:
    for end in ("timed_out", "eof"):
        talk = logged_in()
        talk(b"dele 1\r\n")
        assert list(getattr(talk.session, end)()) == []
        assert not any(isinstance(request, Update) for request in talk.asked)


def test_a_failed_removal_is_said() -> None:
    talk = logged_in()
    talk.openable = False
    assert talk(b"dele 1\r\nquit\r\n") == b"+OK \r\n" + replies.NO_UNLINK


def test_wrong_passwords_may_be_tried_three_times_and_once_in_classic() -> None:
    talk = Talk()
    talk.login = Refusal.WRONG
    for _ in range(2):
        assert talk(b"user ari\r\npass x\r\n") == b"+OK \r\n-ERR [AUTH] authorization failed\r\n"
        assert not talk.closed
    talk(b"user ari\r\npass x\r\n")
    assert talk.closed
    classic = Talk(classic=True)
    classic.login = Refusal.WRONG
    assert classic(b"user ari\r\npass x\r\n") == b"+OK \r\n-ERR authorization failed\r\n"
    assert classic.closed


@pytest.mark.parametrize("login", [Refusal.TEMPORARY, OSError("bus"), RuntimeError()])
def test_a_doubt_about_a_password_is_temporary(login: Refusal | BaseException) -> None:
    talk = Talk()
    talk.login = login
    assert b"[SYS/TEMP]" in talk(b"user ari\r\npass x\r\n")
    assert talk.closed


def test_a_mailbox_that_is_missing_is_said_in_qmails_words() -> None:
    talk = Talk(classic=True)
    talk.login = Refusal.NO_MAILDIR
    talk(b"user ari\r\n")
    assert talk(b"pass x\r\n") == b"-ERR this user has no $HOME/Maildir\r\n"
    assert talk.closed


@pytest.mark.parametrize("refusal", [Refusal.NO_MAILDIR, Refusal.NO_SCAN, Refusal.FOREIGN_MAILDIR])
def test_trouble_with_a_mailbox_is_not_taken_for_a_wrong_password(refusal: Refusal) -> None:
    talk = Talk()
    talk.login = refusal
    assert b"-ERR [SYS/" in talk(b"user ari\r\npass x\r\n")


def test_no_timestamp_is_shown_where_apop_is_not_taken() -> None:
    talk = Talk()
    assert talk.said.startswith(b"+OK ") and b"<" not in talk.said
    assert talk(b"apop ari 0123\r\n") == b"-ERR unimplemented\r\n"


def test_a_message_that_breaks_off_ends_without_the_dot() -> None:
    talk = logged_in()
    talk.session.received(b"retr 1\r\n")
    assert list(talk.session.failed(OSError("disk"))) == [Close()]


def test_no_password_crosses_the_network_in_plain_text() -> None:
    talk = Talk(peer=REMOTE, tls=True)
    assert b"USER" not in talk(b"capa\r\n")
    assert talk(b"user ari\r\n") == replies.NEEDS_TLS
    assert talk(b"auth plain " + base64.b64encode(b"\0ari\0x") + b"\r\n") == replies.NEEDS_TLS
    assert talk(b"pass x\r\n") == replies.USER_FIRST
    assert talk.asked == []
    assert Talk(peer=REMOTE)(b"user ari\r\n") == replies.NEEDS_TLS_PORT
    assert Talk(peer=Peer("203.0.113.9", 1, "192.0.2.1", 995, True))(b"user ari\r\n") == b"+OK \r\n"


def test_the_gateway_is_this_host_only_while_published_on_loopback() -> None:
    for address, answer in (("127.0.0.1", b"+OK \r\n"), ("192.0.2.1", replies.NEEDS_TLS_PORT)):
        manner = Manner(
            timestamp=TIMESTAMP, classic=False, tls_available=False, address=address, gateways=frozenset({"172.20.0.1"})
        )
        session = Transaction(manner)
        session.connected(Peer("172.20.0.1", 1, "172.20.0.2", 110, False))
        assert list(session.received(b"user ari\r\n")) == [Send(answer)]


def test_stls_forgets_the_plain_text_and_is_offered_once() -> None:
    talk = Talk(peer=REMOTE, tls=True)
    assert b"STLS\r\n" in talk(b"capa\r\n")
    assert talk(b"stls\r\nuser mallory\r\nquit\r\n") == replies.BEGIN_TLS
    assert talk.securing and not talk.closed
    assert list(talk.session.tls_started()) == []
    assert talk(b"pass x\r\n") == replies.USER_FIRST
    assert b"STLS" not in talk(b"capa\r\n")
    assert talk(b"stls\r\n") == replies.NO_TLS
    assert talk(b"user ari\r\npass aripass\r\nstat\r\n") == b"+OK \r\n+OK \r\n+OK 3 600\r\n"
    login = talk.asked[0]
    assert isinstance(login, Login) and login.tls


def test_sasl_plain_in_one_line_in_two_and_cancelled() -> None:
    plain = base64.b64encode(b"ari\0ari\0aripass")
    assert Talk()(b"auth plain " + plain + b"\r\nstat\r\n") == b"+OK \r\n+OK 3 600\r\n"
    assert Talk()(b"auth plain\r\n" + plain + b"\r\n") == b"+ \r\n+OK \r\n"
    assert Talk()(b"auth plain\r\n*\r\nnoop\r\n") == b"+ \r\n" + replies.SASL_CANCELLED + b"+OK \r\n"
    assert Talk()(b"auth\r\n") == b"+OK \r\nPLAIN\r\nLOGIN\r\n.\r\n"
    assert Talk()(b"auth cram-md5\r\n") == replies.SASL_UNKNOWN


def test_apop_is_asked_in_classic_with_the_timestamp_and_not_offered_otherwise() -> None:
    digest = hashlib.md5(TIMESTAMP + b"aripass").hexdigest().encode()
    talk = Talk(classic=True)
    talk(b"apop ari " + digest + b"\r\n")
    assert talk.asked == [Login(user=b"ari", password=digest, timestamp=TIMESTAMP)]
    assert Talk()(b"apop ari " + digest + b"\r\n") == replies.UNIMPLEMENTED


def test_unique_ids_are_short_and_printable() -> None:
    assert unique_id(b"1054052840.100.host") == b"1054052840.100.host"
    for base in (b"x" * 71, b"a b", b"\xff", b""):
        uid = unique_id(base)
        assert 1 <= len(uid) <= 70 and uid.isalnum()
    assert unique_id(b"x" * 71) != unique_id(b"x" * 72)


def test_the_server_ending_closes_who_has_not_logged_in_and_spares_who_has() -> None:
    assert list(Talk().session.notified(Stopping())) == [Close()]
    assert list(logged_in().session.notified(Stopping())) == []


def test_the_listing_of_a_large_mailbox_goes_in_pieces() -> None:
    pieces = list(replies.listing(b"%d 1" % n for n in range(2500)))
    assert len(pieces) == 3 and b"".join(pieces).count(b"\r\n") == 2502


def test_rset_takes_every_deletion_back() -> None:
    talk = logged_in()
    assert talk(b"dele 3\r\ndele 1\r\nstat\r\n") == b"+OK \r\n+OK \r\n+OK 1 200\r\n"
    assert talk(b"rset\r\nstat\r\nquit\r\n") == b"+OK \r\n+OK 3 600\r\n+OK \r\n"
    assert isinstance(talk.asked[-1], Update) and talk.asked[-1].deleted == ()
