"""The bounce of chapter 6.2.3, word for word, and where bounces go."""

from __future__ import annotations

import json

import pytest

from qmail.message.address import Address
from services.queue.bounce.text import BounceNames, make_bounce
from services.queue.decide.text import MAX_BOUNCE_BYTES, bounce_paragraph, logged, with_paragraph

NAMES = BounceNames(
    bounce_from=Address(b"MAILER-DAEMON@mail.xeris.com"),
    bounce_host=b"mail.xeris.com",
    double_bounce_to=Address(b"postmaster@mail.xeris.com"),
)


def test_the_bounce_of_chapter_6_2_3() -> None:
    report = bounce_paragraph(Address(b"sarah@mail.xeris.com"), b"Sorry, no mailbox here by that name. (#5.1.1)\n")
    bounce = make_bounce(Address(b"root@mail.xeris.com"), report, NAMES, 1054052116)
    assert bounce is not None and bounce.sender.raw == b"" and bounce.recipient.raw == b"root@mail.xeris.com"
    assert bounce.text == (
        b"Date: 27 May 2003 16:15:16 -0000\n"
        b"From: MAILER-DAEMON@mail.xeris.com\n"
        b"To: root@mail.xeris.com\n"
        b"Subject: failure notice\n"
        b"\n"
        b"Hi. This is the qmail-send program at mail.xeris.com.\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        b"This is a permanent error; I've given up. Sorry it didn't work out.\n"
        b"\n"
        b"<sarah@mail.xeris.com>:\n"
        b"Sorry, no mailbox here by that name. (#5.1.1)\n"
        b"\n"
        b"--- Below this line is a copy of the message.\n"
        b"\n"
        b"Return-Path: <root@mail.xeris.com>\n"
    )


def test_a_bounce_that_bounces_goes_to_doublebounceto_and_then_nowhere() -> None:
    double = make_bounce(Address(b""), b"<a@b>:\nno\n\n", NAMES, 0)
    assert double is not None and double.sender.raw == b"#@[]" and double.recipient.raw == b"postmaster@mail.xeris.com"
    assert b"but the bounce bounced!" in double.text and b"is the original bounce." in double.text
    assert make_bounce(Address(b"#@[]"), b"x", NAMES, 0) is None


def test_bounces_of_a_verp_sender_go_to_the_owner() -> None:
    bounce = make_bounce(Address(b"milis-owner-@xeris.com-@[]"), b"", NAMES, 0)
    assert bounce is not None and bounce.recipient.raw == b"milis-owner-@xeris.com"


@pytest.mark.parametrize(("sender", "discarded"), [(b"-@[]", False), (b"#@[]-@[]", True)])
def test_bounces_of_verp_s_empty_form_go_where_those_of_the_sender_without_it_go(
    sender: bytes, discarded: bool
) -> None:
    bounce = make_bounce(Address(sender), b"", NAMES, 0)
    assert (bounce is None) == discarded
    if bounce is not None:
        assert (bounce.sender.raw, bounce.recipient.raw) == (b"#@[]", b"postmaster@mail.xeris.com")
        assert b"Return-Path: <>\n" in bounce.text


@pytest.mark.parametrize("octet", range(256))
def test_a_bounce_holds_no_line_that_a_stranger_wrote_and_nothing_that_a_terminal_obeys(octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"X-Injected: yes"
    report = bounce_paragraph(Address(odd + b"@b"), b"Remote host said: 550 " + odd + b"\n")
    bounce = make_bounce(Address(odd + b"@b"), report, NAMES, 0)
    assert bounce is not None
    assert not set(bounce.text) & ({*range(0x20), 0x7F} - set(b"\t\n"))
    assert (b"\nX-Injected" in bounce.text) == (octet == 10), "as a line of the far host's reply, in the text"
    assert b"\nX-Injected" not in bounce.text.partition(b"\n\n")[0]


def test_a_blank_line_inside_a_report_cannot_end_the_paragraph() -> None:
    assert bounce_paragraph(Address(b"a\n@b"), b"one\n\ntwo") == b"<a_@b>:\none\n/two\n\n"


def test_several_blank_lines_and_none_at_all() -> None:
    assert bounce_paragraph(Address(b"a@b"), b"\n\nx") == b"<a@b>:\n//x\n\n"
    assert bounce_paragraph(Address(b"a@b"), b"") == b"<a@b>:\n\n", "a program that failed silently"


def test_what_is_not_safe_is_not_logged() -> None:
    assert logged(b"a%b c\nd\xe9\x7f~") == "a_b_c/d__~"


def test_what_has_no_room_in_the_bounce_is_counted() -> None:
    bounce, named = b"", 0
    for number in range(500):
        bounce = with_paragraph(bounce, bounce_paragraph(Address(b"u%d@far.org" % number), b"no\xff such user\n" * 60))
        named = bounce.count(b"@far.org>:")
    assert len(json.dumps(bounce.decode("latin-1"))) < MAX_BOUNCE_BYTES + 100
    assert bounce.endswith(b"\n\n... and %d more recipients.\n\n" % (500 - named)) and named > 50


def test_a_report_that_says_so_itself_ends_nothing() -> None:
    first = bounce_paragraph(Address(b"a@far.org"), b"no\n\n... and 7 more recipients.\n\n")
    both = with_paragraph(with_paragraph(b"", first), bounce_paragraph(Address(b"b@far.org"), b"no\n"))
    assert b"<a@far.org>:" in both and both.endswith(b"<b@far.org>:\nno\n\n")
