"""The lines and variables made of one delivery's arguments (qmail-command(8))."""

from __future__ import annotations

import pytest

from qmail.message.address import NULL_SENDER, Address
from services.delivery.local.job import (
    Job,
    delivered_to_line,
    environment,
    from_line,
    return_path_line,
)


def job(local: bytes = b"joni-list-a-b", ext: bytes = b"list-a-b", sender: bytes = b"ari@xeris.com") -> Job:
    return Job(
        user=b"joni",
        home=b"/home/joni",
        recipient=Address.join(local, b"mail.xeris.com"),
        dash=b"-",
        ext=ext,
        sender=Address(sender),
        default_delivery=b"./Maildir/",
    )


def test_a_newline_in_an_address_cannot_add_a_header_line() -> None:
    evil = job(local=b"joni\nBcc: x", sender=b"a\nBcc: x@y")
    assert delivered_to_line(evil).count(b"\n") == 1
    assert return_path_line(evil).replace(b"\\\n", b"").count(b"\n") == 1
    assert from_line(evil, 0).count(b"\n") == 1


@pytest.mark.parametrize("octet", [*range(1, 0x20), 0x7F])
def test_no_control_character_but_the_tab_comes_from_an_address_into_the_lines_we_write(octet: int) -> None:
    odd = b"joni" + bytes([octet]) + b"X-Injected: yes"
    evil = job(local=odd, sender=odd + b"@y")
    for line in (delivered_to_line(evil), return_path_line(evil), from_line(evil, 0)):
        assert not set(line[:-1]) & ({*range(0x20), 0x7F} - {9}) and line[-1:] == b"\n"


def test_an_8_bit_local_part_is_kept_byte_for_byte() -> None:
    assert delivered_to_line(job(local=b"jo\xf1i")) == b"Delivered-To: jo\xf1i@mail.xeris.com\n"
    assert environment(job(local=b"jo\xf1i"), 0, NULL_SENDER, None)[b"LOCAL"] == b"jo\xf1i"


def test_the_empty_sender_is_mailer_daemon_in_an_mbox_and_empty_elsewhere() -> None:
    assert from_line(job(sender=b""), 0) == b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
    assert return_path_line(job(sender=b"")) == b"Return-Path: <>\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"EXT", b"list-a-b"),
        (b"EXT2", b"a-b"),
        (b"EXT3", b"b"),
        (b"EXT4", b""),
        (b"HOST2", b"mail.xeris"),
        (b"HOST3", b"mail"),
        (b"HOST4", b"mail"),
        (b"RECIPIENT", b"joni-list-a-b@mail.xeris.com"),
        (b"DEFAULT", b"b"),
        (b"NEWSENDER", b"owner@x"),
    ],
)
def test_a_program_gets_the_parts_of_the_address(name: bytes, value: bytes) -> None:
    assert environment(job(), 0, Address(b"owner@x"), b"b")[name] == value


def test_default_is_not_set_without_a_default_file() -> None:
    assert b"DEFAULT" not in environment(job(), 0, NULL_SENDER, None)
