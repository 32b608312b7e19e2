"""Who logs in at a relay: never in the clear, by what it offers, and what is said where it does not work."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from qmail.control.route_passwords import FILE, parse_passwords, render_passwords
from services.delivery.remote.client import Client, Close, Manner, Send, StartTls, Transaction
from services.delivery.remote.login import Login
from services.delivery.remote.passwords import NoPasswordError, RoutePasswords
from services.delivery.remote.routes import Route

HOST = b"192.0.2.1"
LOGIN = Login(b"tim", b"tanstaaftanstaaf")
MANNER = Manner(helo=b"mail.xeris.com", extended=True, tls=True, secure=True, login=LOGIN)
ONE = Transaction(sender=b"a@x", recipients=(b"b@y",), size_bytes=100)
QUIT = [Send(b"QUIT\r\n"), Close()]
MAIL = [Send(b"MAIL FROM:<a@x>\r\n")]


def secured(offers: bytes, manner: Manner = MANNER) -> tuple[Client, list[object]]:
    """A client within TLS, and what it does after EHLO."""
    client = Client(HOST, manner, ONE)
    client.received(b"220 hi\r\n")
    assert client.received(b"250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n") == [Send(b"STARTTLS\r\n")]
    assert client.received(b"220 go\r\n") == [StartTls()]
    client.tls_started()
    return client, list(client.received(b"250-hi\r\n250 " + offers + b"\r\n"))


def test_plain_says_all_at_once() -> None:
    client, said = secured(b"AUTH CRAM-MD5 LOGIN PLAIN")
    assert said == [Send(b"AUTH PLAIN " + b64encode(b"\0tim\0tanstaaftanstaaf") + b"\r\n")]
    assert client.received(b"235 ok\r\n") == MAIL


def test_login_answers_two_questions() -> None:
    client, said = secured(b"AUTH LOGIN CRAM-MD5")
    assert said == [Send(b"AUTH LOGIN\r\n")]
    assert client.received(b"334 VXNlcm5hbWU6\r\n") == [Send(b64encode(b"tim") + b"\r\n")]
    assert client.received(b"334 UGFzc3dvcmQ6\r\n") == [Send(b64encode(b"tanstaaftanstaaf") + b"\r\n")]
    assert client.received(b"235 ok\r\n") == MAIL


def test_cram_md5_is_rfc_2195_s_example() -> None:
    client, said = secured(b"AUTH GSSAPI CRAM-MD5")
    assert said == [Send(b"AUTH CRAM-MD5\r\n")]
    challenge = b64encode(b"<1896.697170952@postoffice.reston.mci.net>")
    answer = b64encode(b"tim b913a602c7eda7a495b4e6e7334d3890")
    assert client.received(b"334 " + challenge + b"\r\n") == [Send(answer + b"\r\n")]
    # Whoever asks for more hears that there is no more.
    assert client.received(b"334 " + challenge + b"\r\n") == [Send(b"*\r\n")]
    assert client.received(b"501 cancelled\r\n") == QUIT


def test_a_refused_log_in_is_a_deferral_with_the_relay_s_words() -> None:
    client, _ = secured(b"AUTH PLAIN")
    assert client.received(b"535 5.7.8 no\r\n") == QUIT
    said = b"ZConnected to 192.0.2.1 but log-in was refused.\nRemote host said: 535 5.7.8 no\n"
    assert client.report == [said] and not client.serves


def test_no_mechanism_that_we_know() -> None:
    client, said = secured(b"AUTH GSSAPI")
    assert said == QUIT
    assert client.report == [b"ZConnected to 192.0.2.1 but it offers no log-in that I know. (#4.7.0)\n"]


@pytest.mark.parametrize("words", [b"250 hi\r\n", b"502 what\r\n250 hi\r\n", b"250-hi\r\n250 AUTH PLAIN\r\n"])
@pytest.mark.parametrize("login", [LOGIN, None])
def test_without_tls_nothing_is_said_in_the_clear(words: bytes, login: Login | None) -> None:
    client = Client(HOST, replace(MANNER, login=login), ONE)
    client.received(b"220 hi\r\n")
    said = b"".join(effect.data for effect in client.received(words) if isinstance(effect, Send))
    assert b"AUTH" not in said and b"MAIL" not in said
    assert client.report == [b"ZConnected to 192.0.2.1 but it offers no TLS, which I need there. (#4.7.4)\n"]


def test_a_refused_starttls_is_no_way_around_it() -> None:
    client = Client(HOST, MANNER, ONE)
    client.received(b"220 hi\r\n")
    client.received(b"250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
    assert client.received(b"454 not now\r\n") == QUIT


def test_passwords_are_found_by_relay_port_and_user_and_read_again(tmp_path: Path) -> None:
    passwords, route = RoutePasswords(tmp_path), Route(b"Smart.ISP.example", 587, b"me")
    with pytest.raises(NoPasswordError):
        passwords.login(route)
    kept = {(b"smart.isp.example:587", b"me"): b"a b  c", (b"smart.isp.example:25", b"me"): b"other"}
    (tmp_path / FILE).write_bytes(render_passwords(kept))
    assert passwords.login(route) == Login(b"me", b"a b  c")
    assert "a b" not in repr(passwords.login(route))
    (tmp_path / FILE).write_bytes(b"no line of ours\n")
    os.utime(tmp_path / FILE, (1, 1))
    with pytest.raises(NoPasswordError):
        passwords.login(route)
    with pytest.raises(NoPasswordError):
        RoutePasswords().login(route)


@pytest.mark.parametrize(
    ("user", "password"), [(b"a b", b"x"), (b"", b"x"), (b"a", b""), (b"a", b"x\ny"), (b"a", b"\0")]
)
def test_what_does_not_fit_in_a_line_is_refused(user: bytes, password: bytes) -> None:
    with pytest.raises(ValueError):
        render_passwords({(b"r:25", user): password})
    assert parse_passwords(render_passwords({(b"r:25", b"u"): b" p "})) == {(b"r:25", b"u"): b" p "}
