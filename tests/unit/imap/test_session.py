"""The pure session: every byte split, TLS, states, failures of the other side. Answers are given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmail.accounts.assign import Account
from qmail.door.session import Ask, Close, Effect, Peer, Send, StartTls, Stopping
from services.imap.commands import COMMANDS
from services.imap.grammar.folders import Append, Select
from services.imap.session.dialogue import Terms
from services.imap.session.requests import (
    AppendAbort,
    AppendBegin,
    AppendCommit,
    AppendData,
    CheckPassword,
    Execute,
    IdleBegin,
    IdleEnd,
    Refresh,
)
from services.imap.session.results import Answer, Changed, LoggedIn, LoginRefused, Ready, Updates
from services.imap.session.session import ImapSession

PEER = Peer("192.0.2.1", 40000, "192.0.2.2", 143, False)
JONI = LoggedIn(Account(b"joni", 2001, 2001, Path("/home/joni")))


def session(*, plain: bool = True, tls: bool = True) -> ImapSession:
    made = ImapSession(COMMANDS, Terms(plain_allowed=lambda _: plain, tls_available=lambda: tls))
    made.connected(PEER)
    return made


def logged_in(*, selected: bool = False) -> ImapSession:
    made = session()
    made.received(b"l LOGIN joni x\r\n")
    made.answered(JONI)
    if selected:
        made.received(b"s SELECT INBOX\r\n")
        made.answered(Answer(b"OK", b"done", selected=True))
    return made


def text(effects: Sequence[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, Send))


def asked(effects: Sequence[Effect]) -> object:
    assert isinstance(effects[-1], Ask), effects
    return effects[-1].request


def test_greeting_tells_what_can_be_done_now() -> None:
    made = ImapSession(COMMANDS, Terms(plain_allowed=lambda _: False, tls_available=lambda: True))
    greeting = text(made.connected(PEER))
    assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
    assert b"STARTTLS LOGINDISABLED]" in greeting and b"AUTH=PLAIN" not in greeting
    made = ImapSession(COMMANDS, Terms(plain_allowed=lambda _: False, tls_available=lambda: True))
    greeting = text(made.connected(Peer("192.0.2.1", 1, "192.0.2.2", 993, True)))
    assert b"AUTH=PLAIN" in greeting and b"STARTTLS" not in greeting and b"LOGINDISABLED" not in greeting


@pytest.mark.parametrize("command", [b"LOGIN joni x", b"AUTHENTICATE PLAIN AGEAYg=="])
def test_no_password_is_taken_in_plain_text_where_that_is_not_allowed(command: bytes) -> None:
    effects = session(plain=False).received(b"a " + command + b"\r\n")
    assert text(effects).startswith(b"a NO [PRIVACYREQUIRED]")
    assert not any(isinstance(effect, Ask) for effect in effects)


def test_commands_slipped_in_before_the_handshake_are_forgotten() -> None:
    made = session(plain=False)
    effects = made.received(b"a STARTTLS\r\nb LOGIN joni x\r\n")
    assert text(effects).startswith(b"a OK") and isinstance(effects[-1], StartTls)
    assert made.tls_started() == ()
    assert asked(made.received(b"c LOGIN joni x\r\n")) == CheckPassword(b"joni", b"x", True)
    assert text(made.answered(LoginRefused(temporary=False))).startswith(b"c NO [AUTHENTICATIONFAILED]")


def test_starttls_twice_and_without_certificate() -> None:
    assert text(session(tls=False).received(b"a STARTTLS\r\n")).startswith(b"a NO")
    made = session()
    made.received(b"a STARTTLS\r\n")
    made.tls_started()
    assert text(made.received(b"b STARTTLS\r\n")).startswith(b"b BAD")


@pytest.mark.parametrize(
    "command",
    [b"SELECT INBOX", b"IDLE", b'LIST "" *', b"CHECK", b"FETCH 1 UID", b"APPEND INBOX {3+}\r\nabc", b"UID SEARCH ALL"],
)
def test_states_forbid(command: bytes) -> None:
    assert text(session().received(b"a " + command + b"\r\n")).startswith(b"a BAD")
    if command.split()[0] in (b"CHECK", b"FETCH", b"UID"):
        assert text(logged_in().received(b"a " + command + b"\r\n")).startswith(b"a BAD")


def test_login_is_not_possible_twice() -> None:
    assert text(logged_in().received(b"a LOGIN joni x\r\n")).startswith(b"a BAD")


def test_a_dialogue_is_the_same_however_its_bytes_are_split() -> None:
    dialogue = (
        b"a LOGIN {4+}\r\njoni x\r\nb SELECT inbox\r\nc IDLE\r\nDONE\r\n"
        b"d APPEND INBOX (\\Seen) {5+}\r\nab\r\nc\r\ne AUTHENTICATE X\r\nf NOOP\r\n"
    )
    whole = run(session(), [dialogue])
    for cut in range(1, len(dialogue)):
        assert run(session(), [dialogue[:cut], dialogue[cut:]]) == whole
    assert run(session(), [bytes([octet]) for octet in dialogue]) == whole


def run(made: ImapSession, pieces: list[bytes]) -> tuple[bytes, bytes, list[type]]:
    """All that is sent, the octets of APPEND, and the kinds of questions; answered as a handler would."""
    sent, octets, kinds = b"", b"", []
    for piece in pieces:
        effects = list(made.received(piece))
        while effects:
            effect = effects.pop(0)
            if isinstance(effect, Send):
                sent += effect.data
            if isinstance(effect, Ask):
                assert not effects, "nothing may follow a question"
                if isinstance(effect.request, AppendData):
                    octets += effect.request.data
                else:
                    kinds.append(type(effect.request))
                effects = list(made.answered(answer_to(effect.request)))
    return sent, octets, kinds


def answer_to(request: object) -> object:
    match request:
        case CheckPassword():
            return JONI
        case AppendBegin() | AppendData() | AppendAbort():
            return Ready()
        case IdleBegin() | IdleEnd() | Refresh():
            return Updates(())
        case Execute(_, command) if command.name == b"SELECT":
            return Answer(b"OK", b"done", selected=True)
    return Answer(b"OK", b"done")


WORDS = [
    b"a ", b"LOGIN joni x", b"SELECT INBOX", b"UID ", b"FETCH 1:* ", b"BODY[1.HEADER.FIELDS (", b"SEARCH ", b"{3}",
    b"{3+}", b"{99999999999}", b"\r\n", b"\n", b"APPEND INBOX ", b"(\\Seen) ", b"IDLE", b"DONE", b"*", b"(", b")", b'"',
    b"AUTHENTICATE PLAIN", b"\\", b"STORE 1 +FLAGS ", b"LIST ", b"STARTTLS", b"NOOP", b"c", b"\0", b"\xff", b"[", b"]",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=5), max_size=60))
def test_no_input_makes_the_session_raise_or_stay_silent_about_a_line(pieces: list[bytes]) -> None:
    sent, _, _ = run(session(), pieces)
    assert all(line.split(b" ")[0] in (b"*", b"+") or b" " in line for line in sent.split(b"\r\n")[:-1])


def test_nothing_is_done_while_a_question_is_open() -> None:
    made = logged_in()
    assert asked(made.received(b"a SELECT INBOX\r\nb NOOP\r\n")) == Execute(b"a", COMMANDS[b"SELECT"], Select(b"INBOX"))
    assert made.received(b"c NOOP\r\n") == []
    effects = made.answered(Answer(b"OK", b"done", selected=True))
    assert text(effects) == b"a OK done\r\n"
    assert asked(effects) == Execute(b"b", COMMANDS[b"NOOP"])


def test_append_asks_before_the_octets_and_commits_after_them() -> None:
    made = logged_in()
    assert asked(made.received(b"a APPEND INBOX {6}\r\n")) == AppendBegin(Append(b"INBOX", (), None), 6)
    assert text(made.answered(Ready())).startswith(b"+ ")
    assert asked(made.received(b"abc")) == AppendData(b"abc")
    assert made.answered(Ready()) == []
    assert asked(made.received(b"def\r\n")) == AppendData(b"def")
    assert asked(made.answered(Ready())) == AppendCommit()
    assert text(made.answered(Answer(b"OK", b"done"))) == b"a OK done\r\n"


def test_a_refused_append_is_over_and_the_next_command_is_obeyed() -> None:
    made = logged_in()
    made.received(b"a APPEND INBOX {6+}\r\nabc")
    effects = made.answered(Answer(b"NO", b"no", code=b"TRYCREATE"))
    assert text(effects) == b"a NO [TRYCREATE] no\r\n"
    assert text(made.received(b"def\r\nb CAPABILITY\r\n")).endswith(b"b OK CAPABILITY completed.\r\n")


def test_idle_tells_changes_and_ends_with_done() -> None:
    made = logged_in(selected=True)
    effects = made.received(b"a IDLE\r\n")
    assert text(effects).startswith(b"+ ") and asked(effects) == IdleBegin()
    assert made.answered(Updates(())) == []
    assert asked(made.notified(Changed())) == Refresh()
    assert text(made.answered(Updates((b"* 3 EXISTS\r\n",)))) == b"* 3 EXISTS\r\n"
    assert asked(made.received(b"done\r\n")) == IdleEnd()
    assert text(made.answered(Updates(()))) == b"a OK IDLE completed.\r\n"
    assert made.notified(Changed()) == ()


def test_idle_ended_by_anything_else_is_bad() -> None:
    made = logged_in(selected=True)
    made.received(b"a IDLE\r\n")
    made.answered(Updates(()))
    assert asked(made.received(b"b NOOP\r\n")) == IdleEnd()
    assert text(made.answered(Updates(()))).startswith(b"a BAD")


def test_a_failed_question_is_no_and_the_session_goes_on() -> None:
    made = logged_in(selected=True)
    made.received(b"a FETCH 1 UID\r\nb NOOP\r\n")
    effects = made.failed(RuntimeError("path /home/joni is broken"))
    assert text(effects).startswith(b"a NO [SERVERBUG]") and b"/home" not in text(effects)
    assert asked(effects) == Execute(b"b", COMMANDS[b"NOOP"])


def test_a_failure_in_the_middle_of_append_ends_the_connection() -> None:
    made = logged_in()
    made.received(b"a APPEND INBOX {6}\r\n")
    effects = made.failed(RuntimeError())
    assert text(effects).startswith(b"* BYE") and isinstance(effects[-1], Close)
    assert made.received(b"x") == []


def test_stopping_says_bye_between_commands_and_not_in_a_message() -> None:
    effects = logged_in().notified(Stopping())
    assert text(effects).startswith(b"* BYE [UNAVAILABLE]") and isinstance(effects[-1], Close)
    made = logged_in()
    made.received(b"a APPEND INBOX {6}\r\n")
    made.answered(Ready())
    assert made.notified(Stopping()) == ()


def test_time_is_short_before_log_in_and_half_an_hour_after_it() -> None:
    assert session().timeout_seconds < 600
    assert logged_in().timeout_seconds >= 1800
    assert text(logged_in().timed_out()).startswith(b"* BYE")


def test_sasl_can_be_cancelled_and_a_bad_answer_is_bad() -> None:
    made = session()
    assert text(made.received(b"a AUTHENTICATE PLAIN\r\n")) == b"+ \r\n"
    assert text(made.received(b"*\r\n")).startswith(b"a BAD")
    made.received(b"b AUTHENTICATE PLAIN\r\n")
    assert text(made.received(b"!!!\r\n")).startswith(b"b BAD")
    assert text(made.received(b"c AUTHENTICATE PLAIN am9uaQBhcmkAeA==\r\n")).startswith(b"c BAD"), "to act as another"


def test_a_literal_beyond_the_bound_is_refused_without_reading_it() -> None:
    made = session()
    assert text(made.received(b"a LOGIN {70000}\r\n")).startswith(b"a BAD")
    assert text(made.received(b"b CAPABILITY\r\n")).endswith(b"b OK CAPABILITY completed.\r\n")


def test_a_message_for_a_command_without_a_tag_is_not_taken() -> None:
    made = logged_in()
    assert text(made.received(b" APPEND INBOX {3}\r\n")) == b"* BAD Not an IMAP command: no tag.\r\n"
    assert text(made.received(b" APPEND INBOX {3+}\r\nabc\r\n")) == b"* BAD Not an IMAP command: no tag.\r\n"


def test_two_blanks_before_a_message_are_as_good_as_one() -> None:
    made = logged_in()
    assert asked(made.received(b"a  APPEND  INBOX {6}\r\n")) == AppendBegin(Append(b"INBOX", (), None), 6)
