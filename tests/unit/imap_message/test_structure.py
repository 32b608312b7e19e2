"""ENVELOPE, BODY and BODYSTRUCTURE: well-formed for any message, right for usual ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from services.imap import message as mail
from services.imap.message.address import Address, parse_addresses
from services.imap.message.params import parse_content_type, parse_disposition
from services.imap.message.render import string
from tests.oracle.kinds.imap_fetch import read_wire
from tests.unit.imap_message.test_parse import MESSAGES


@given(MESSAGES)
def test_any_message_has_well_formed_answers(raw: bytes) -> None:
    message = mail.parse(raw)
    assert len(read_wire(mail.envelope(message))) == 10
    well_formed(read_wire(mail.body(message)), extended=False)
    well_formed(read_wire(mail.bodystructure(message)), extended=True)


def well_formed(tree: list[Any], *, extended: bool) -> None:
    if isinstance(tree[0], list):
        parts = [item for item in tree if isinstance(item, list)] if not extended else tree[: tree.index(subtype(tree))]
        for part in parts:
            well_formed(part, extended=extended)
        assert len(tree) == len(parts) + (5 if extended else 1)
        return
    assert all(isinstance(tree[index], str) for index in (0, 1, 5)) and isinstance(tree[6], int)
    if tree[:2] == ["message", "rfc822"] and len(tree) > 11:
        assert len(tree[7]) == 10
        well_formed(tree[8], extended=extended)


def subtype(tree: list[Any]) -> str:
    return next(item for item in tree if isinstance(item, str))


def envelope(header: bytes) -> Any:
    return read_wire(mail.envelope(mail.parse(header + b"\n")))


def test_envelope_of_a_usual_message() -> None:
    assert envelope(
        b'From: "Ari Santoso" <ari@xeris.com>\nTo: joni@xeris.com, Diva\n <diva@xeris.com>\n'
        b"Subject: satu\n\tdua  tiga\nDate: Sat, 24 May 2003 06:11:05 +0700\nMessage-ID: <1@x>\n"
    ) == [
        "Sat, 24 May 2003 06:11:05 +0700",
        "satu dua tiga",
        *[[["Ari Santoso", None, "ari", "xeris.com"]]] * 3,
        [[None, None, "joni", "xeris.com"], ["Diva", None, "diva", "xeris.com"]],
        None,
        None,
        None,
        "<1@x>",
    ]


def test_absent_fields_are_nil_and_empty_ones_are_not() -> None:
    assert envelope(b"Subject:\nTo:\n") == [None, "", None, None, None, None, None, None, None, None]


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (b"ari@x (Ari)", [(b"Ari", None, b"ari", b"x")]),
        (b'"a, b" <c@d>', [(b"a, b", None, b"c", b"d")]),
        (b'"a \\"q\\"" <c@d>', [(b'a "q"', None, b"c", b"d")]),
        (b'"a b"@c', [(None, None, b"a b", b"c")]),
        (b"John Q. Public <j@x>", [(b"John Q. Public", None, b"j", b"x")]),
        (b"<@a,@b:c@d>", [(None, b"@a,@b", b"c", b"d")]),
        (b"a @ b . c", [(None, None, b"a", b"b.c")]),
        (b"a@[127.0.0.1]", [(None, None, b"a", b"[127.0.0.1]")]),
        (b"root", [(None, None, b"root", b"")]),
        (b"<>", [(None, None, b"", b"")]),
        (b"g: a@b, c@d;, e@f", [(None, None, b"g", None), (None, None, b"a", b"b"), (None, None, b"c", b"d"),
                                (None, None, None, None), (None, None, b"e", b"f")]),
        (b"g:;", [(None, None, b"g", None), (None, None, None, None)]),
        (b"g: a@b", [(None, None, b"g", None), (None, None, b"a", b"b"), (None, None, None, None)]),
        (b"a@b, , c@d,", [(None, None, b"a", b"b"), (None, None, b"c", b"d")]),
        (b"a@b <c@d>, e@f", [(b"a@b", None, b"c", b"d"), (None, None, b"e", b"f")]),
        (b"a@b <a@b>", [(None, None, b"a", b"b")]),
        (b"Ari <ari@x", [(b"Ari", None, b"ari", b"x")]),
        (b"a@b; c@d", [(None, None, b"a", b"b"), (None, None, b"c", b"d")]),
        (b"a(x(y\\)z)w)@b", [(b"x(y)z)w", None, b"a", b"b")]),
    ],
)  # fmt: skip
def test_addresses(value: bytes, addresses: list[tuple[bytes | None, ...]]) -> None:
    assert parse_addresses(value) == [Address(*address) for address in addresses]


def test_a_text_without_a_charset_is_ascii_and_counted_in_crlf_form() -> None:
    assert read_wire(mail.bodystructure(mail.parse(b"A: b\n\nsatu\ndua\n"))) == [
        "text", "plain", ["charset", "us-ascii"], None, None, "7bit", 11, 2, None, None, None, None,
    ]  # fmt: skip


def test_extension_data() -> None:
    raw = (
        b"Content-Type: image/png; name=a.png\nContent-ID: <i>\nContent-Description: d\nContent-MD5: m\n"
        b'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="a b.png"\n'
        b"Content-Language: id, en\nContent-Location: l\n\nAAAA\n"
    )
    structure = ["image", "png", ["name", "a.png"], "<i>", "d", "base64", 6]
    assert read_wire(mail.body(mail.parse(raw))) == structure
    extension = ["m", ["attachment", ["filename", "a b.png"]], ["id", "en"], "l"]
    assert read_wire(mail.bodystructure(mail.parse(raw))) == structure + extension


def test_a_multipart_without_parts_shows_an_empty_text_that_can_be_fetched() -> None:
    message = mail.parse(b"Content-Type: multipart/mixed; boundary=b\n\nnothing\n")
    assert read_wire(mail.body(message)) == [
        ["text", "plain", ["charset", "us-ascii"], None, None, "7bit", 0, 0],
        "mixed",
    ]
    pieces = mail.section(message, mail.SectionSpec((1,)))
    assert pieces is not None and list(pieces) == []


@pytest.mark.parametrize(
    ("value", "params"),
    [
        (b'text/plain; a="b;c"; d = e', ((b"a", b"b;c"), (b"d", b"e"))),
        (b"text/plain (x); (y) a=b (z); c=d", ((b"a", b"b"), (b"c", b"d"))),
        (b"text/plain; a*1=y; a*0=x", ((b"a", b"xy"),)),
        (b"text/plain; a*0*=utf-8''x; a*1=y", ((b"a*", b"utf-8''xy"),)),
        (b"text/plain; a; b=; c=d", ((b"b", b""), (b"c", b"d"))),
        (b"text/plain; a==?utf-8?q?x?=", ((b"a", b"=?utf-8?q?x?="),)),
    ],
)
def test_parameters(value: bytes, params: tuple[tuple[bytes, bytes], ...]) -> None:
    assert parse_content_type(value).params == params
    assert parse_disposition(value.replace(b"text/plain", b"inline"))[1] == params


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (b'a"\\b', b'"a\\"\\\\b"'),
        (b"\xe4", b"{1}\r\n\xe4"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"a\0", b"{4}\r\na\xef\xbf\xbd"),
        (b"", b'""'),
    ],
)
def test_strings_on_the_wire(value: bytes, wire: bytes) -> None:
    assert string(value) == wire
