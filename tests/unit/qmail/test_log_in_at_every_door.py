"""What one door takes as a name or a password, the others take: each way in is asked the same questions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.talk.ask_pass import MAX_NAME_BYTES, MAX_PASSWORD_BYTES, Question
from qmail.control.files import Control
from qmail.door.session import Ask, Effect, Peer, Send
from services.imap.commands import COMMANDS
from services.imap.session.dialogue import Terms
from services.imap.session.requests import CheckPassword
from services.imap.session.session import ImapSession
from services.pop3.requests import Login as Pop3Login
from services.pop3.transaction import Manner
from services.pop3.transaction import Transaction as Pop3Transaction
from services.smtpd.facts import Client
from services.smtpd.facts import Login as SmtpLogin
from services.smtpd.policy_reader import read_policy
from services.smtpd.session import SmtpSession
from tests.support.drafts import ORIGIN

PEER = Peer("127.0.0.1", 1, "127.0.0.1", 2, False)
with TemporaryDirectory() as _directory:
    (Path(_directory) / "me").write_text("mail.xeris.com\n")
    POLICY = read_policy(Control(Path(_directory)))
#: An answer other than a question of auth's.
MALFORMED = "malformed"


def asked(effects: Sequence[Effect]) -> tuple[bytes, bytes] | str:
    """Name and password that auth would be asked about; MALFORMED where the door refuses by itself."""
    for effect in effects:
        if isinstance(effect, Ask):
            request: Any = effect.request
            assert isinstance(request, CheckPassword | Pop3Login | SmtpLogin)
            return request.user, request.password
    said = b"".join(effect.data for effect in effects if isinstance(effect, Send)).splitlines()[-1]
    assert said.startswith((b"-ERR syntax", b"501 ", b"a BAD ")), said
    return MALFORMED


def talk(session: Any, *lines: bytes) -> tuple[bytes, bytes] | str:
    effects: list[Effect] = []
    for line in lines:
        effects += session.received(line + b"\r\n")
    return asked(effects)


def pop3() -> Pop3Transaction:
    session = Pop3Transaction(Manner(timestamp=b"<1@x>", classic=False, tls_available=False, address="127.0.0.1"))
    session.connected(PEER)
    return session


def imap() -> ImapSession:
    session = ImapSession(COMMANDS, Terms(plain_allowed=lambda peer: True, tls_available=lambda: False))
    session.connected(PEER)
    return session


def smtp() -> SmtpSession:
    session = SmtpSession(POLICY, Client(auth_offered=True), ORIGIN, lambda: 0.0)
    session.connected()
    return session


def plain(user: bytes, password: bytes) -> bytes:
    return base64.b64encode(b"\0" + user + b"\0" + password)


def literal(text: bytes) -> bytes:
    return b"{%d+}\r\n" % len(text) + text


def quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


b64 = base64.b64encode
SASL: dict[str, Callable[[bytes, bytes], Any]] = {
    "pop3 AUTH PLAIN": lambda u, p: talk(pop3(), b"AUTH PLAIN", plain(u, p)),
    "pop3 AUTH PLAIN, initial": lambda u, p: talk(pop3(), b"AUTH plain " + plain(u, p)),
    "imap AUTHENTICATE PLAIN": lambda u, p: talk(imap(), b"a AUTHENTICATE PLAIN", plain(u, p)),
    "imap AUTHENTICATE PLAIN, initial": lambda u, p: talk(imap(), b"a authenticate plain " + plain(u, p)),
    "smtp AUTH PLAIN": lambda u, p: talk(smtp(), b"AUTH PLAIN", plain(u, p)),
    "smtp AUTH PLAIN, initial": lambda u, p: talk(smtp(), b"auth plain " + plain(u, p)),
}
BYTES: dict[str, Callable[[bytes, bytes], Any]] = {
    "pop3 AUTH LOGIN": lambda u, p: talk(pop3(), b"AUTH LOGIN", b64(u), b64(p)),
    "pop3 AUTH LOGIN, initial": lambda u, p: talk(pop3(), b"AUTH LOGIN " + (b64(u) or b"="), b64(p)),
    "imap AUTHENTICATE LOGIN": lambda u, p: talk(imap(), b"a AUTHENTICATE LOGIN", b64(u), b64(p)),
    "imap AUTHENTICATE LOGIN, initial": lambda u, p: talk(imap(), b"a AUTHENTICATE LOGIN " + (b64(u) or b"="), b64(p)),
    "smtp AUTH LOGIN": lambda u, p: talk(smtp(), b"AUTH LOGIN", b64(u), b64(p)),
    "smtp AUTH LOGIN, initial": lambda u, p: talk(smtp(), b"AUTH LOGIN " + (b64(u) or b"="), b64(p)),
    "imap LOGIN, literals": lambda u, p: talk(imap(), b"a LOGIN " + literal(u) + b" " + literal(p)),
}
LINES: dict[str, Callable[[bytes, bytes], Any]] = {
    "pop3 USER, PASS": lambda u, p: talk(pop3(), b"USER " + u, b"PASS " + p),
    "imap LOGIN, quoted": lambda u, p: talk(imap(), b"a LOGIN " + quoted(u) + b" " + quoted(p)),
}
EVERY = {**SASL, **BYTES, **LINES}

PASSWORDS = {
    "plain": b"aripass",
    "a blank": b"ari pass",
    "blanks around": b"  ari pass ",
    "quotes and backslashes": rb'"a\r"i\"',
    "brackets and percent": b"(a){1}%*]",
    "equals": b"=",
    "a star": b"*",
    "UTF-8": "p\u00e4\u00df \u20ac".encode(),
    "latin-1": b"p\xe4\xdf",
    "a tab": b"a\tb",
    "as long as may be": b"x" * MAX_PASSWORD_BYTES,
    "too long": b"x" * (MAX_PASSWORD_BYTES + 1),
}
NAMES = {
    "plain": b"ari",
    "upper case": b"ARI",
    "an address": b"Ari@Mail.Xeris.com",
    "a plus": b"ari+x@xeris.com",
    "UTF-8": "\u00e4ri".encode(),
    "8-bit": b"\xe4ri",
    "quotes": b'a"r\\i',
    "as long as may be": b"a" * MAX_NAME_BYTES,
    "too long": b"a" * (MAX_NAME_BYTES + 1),
}


@pytest.mark.parametrize("way", EVERY)
@pytest.mark.parametrize("kind", PASSWORDS)
def test_every_way_takes_the_same_passwords(way: str, kind: str) -> None:
    assert EVERY[way](b"ari", PASSWORDS[kind]) == (b"ari", PASSWORDS[kind])


@pytest.mark.parametrize("way", EVERY)
@pytest.mark.parametrize("kind", NAMES)
def test_every_way_takes_the_same_names(way: str, kind: str) -> None:
    assert EVERY[way](NAMES[kind], b"aripass") == (NAMES[kind], b"aripass")


@pytest.mark.parametrize("way", [*SASL, *BYTES, "imap LOGIN, quoted"])
def test_an_empty_password_is_a_wrong_one_everywhere(way: str) -> None:
    user, password = EVERY[way](b"ari", b"")
    assert not Question(user=user, password=password, service="x", ip="::1").possible


def test_pass_without_its_argument_is_no_command() -> None:
    assert talk(pop3(), b"USER ari", b"PASS ") == talk(pop3(), b"USER ari", b"PASS") == MALFORMED


@pytest.mark.parametrize("way", [*BYTES, "pop3 USER, PASS"])
@pytest.mark.parametrize("pair", [(b"ari", b"aripass\0x"), (b"ari\0x", b"aripass")])
def test_a_nul_is_never_cut_off_and_never_right(way: str, pair: tuple[bytes, bytes]) -> None:
    user, password = EVERY[way](*pair)
    assert (user, password) == pair
    assert not Question(user=user, password=password, service="x", ip="::1").possible


@pytest.mark.parametrize("way", SASL)
def test_a_plain_message_with_one_more_nul_or_for_another_user_is_none(way: str) -> None:
    assert SASL[way](b"ari", b"ari\0pass") == MALFORMED


@pytest.mark.parametrize("session", [pop3, imap, smtp])
def test_to_act_as_another_user_is_refused_alike(session: Callable[[], Any]) -> None:
    verb = {pop3: b"AUTH", imap: b"a AUTHENTICATE", smtp: b"AUTH"}[session]
    assert talk(session(), verb + b" PLAIN", base64.b64encode(b"joni\0ari\0aripass")) == MALFORMED
    assert talk(session(), verb + b" PLAIN", base64.b64encode(b"ari\0ari\0aripass")) == (b"ari", b"aripass")


@pytest.mark.parametrize("session", [pop3, imap, smtp])
def test_a_star_cancels_and_another_attempt_may_follow(session: Callable[[], Any]) -> None:
    verb = {pop3: b"AUTH", imap: b"a AUTHENTICATE", smtp: b"AUTH"}[session]
    assert talk(session(), verb + b" LOGIN", b"*", verb + b" PLAIN", plain(b"ari", b"x")) == (b"ari", b"x")


_TEXT = st.binary(min_size=1, max_size=40).filter(lambda text: not set(text) & set(b"\0\r\n"))


@given(_TEXT.filter(lambda text: text[:1] != b" "), _TEXT)
def test_whatever_fits_into_a_line_comes_the_same_way_through_every_door(user: bytes, password: bytes) -> None:
    assert {way: found(user, password) for way, found in EVERY.items()} == dict.fromkeys(EVERY, (user, password))
