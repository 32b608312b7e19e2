"""The MIME structure: what is a part, where it ends, and that no message can make the parser slow or deep."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap import message as mail
from services.imap.message.header import MAX_FIELDS, MAX_HEADERS_BYTES
from services.imap.message.parse import MAX_DEPTH, MAX_PARTS, Part

WORDS = st.sampled_from(
    [
        *(b"\n", b"\n\n", b"\r\n", b"\r", b" ", b"\t", b"--", b"--a", b"--a--", b"--ab", b"a", b"b", b'"', b"(", b"\0"),
        *(b"Content-Type: ", b"multipart/mixed", b"multipart/digest", b"; boundary=a", b'; boundary="ab"'),
        *(b"message/rfc822", b"text/plain", b"From: ", b"<x@y>", b"Content-Transfer-Encoding: base64", b":", b";"),
        *(b"Subject: ", b"=?utf-8?q?a?=", b"\xff"),
    ]
)
MESSAGES = st.lists(WORDS, max_size=60).map(b"".join) | st.binary(max_size=300)


def parts(part: Part) -> list[Part]:
    return [part, *(below for child in part.children for below in parts(child))]


def bodies(raw: bytes) -> list[bytes]:
    return [raw[part.body : part.end] for part in mail.parse(raw).root.children]


@given(MESSAGES)
def test_any_bytes_give_parts_within_their_parent(raw: bytes) -> None:
    root = mail.parse(raw).root
    assert (root.start, root.end) == (0, len(raw))
    for part in parts(root):
        assert part.start <= part.body <= part.end
        at = part.body
        for child in part.children:
            assert at <= child.start
            at = child.end
        assert at <= part.end


def test_the_line_end_before_a_boundary_belongs_to_the_boundary() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n"
    assert bodies(head + b"--b\n\none\n--b\n\ntwo\n\n--b--\nepilogue\n") == [b"one", b"two\n"]
    crlf = (head + b"--b\n\none\n--b\n\ntwo\n\n--b--\n").replace(b"\n", b"\r\n")
    assert bodies(crlf) == [b"one", b"two\r\n"]


def test_a_missing_last_boundary_ends_with_the_file() -> None:
    assert bodies(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n") == [b"one\n"]


def test_an_outer_boundary_ends_an_inner_multipart_that_was_never_closed() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=out\n\n--out\nContent-Type: multipart/mixed; boundary=in\n\n"
        b"--in\n\none\n--out\n\ntwo\n--in\nstill two\n--out--\n"
    )
    inner, second = mail.parse(raw).root.children
    assert [raw[part.body : part.end] for part in inner.children] == [b"one"]
    assert raw[second.body : second.end] == b"two\n--in\nstill two"


@pytest.mark.parametrize(("outer", "inner"), [(b"b", b"bb"), (b"bb", b"b"), (b"b", b"b--")])
def test_of_boundaries_that_begin_alike_the_whole_line_decides(outer: bytes, inner: bytes) -> None:
    raw = b"".join(
        (
            b"Content-Type: multipart/mixed; boundary=" + outer + b"\n\n--" + outer + b"\n",
            b"Content-Type: multipart/mixed; boundary=" + inner + b"\n\n--" + inner + b"\n\none\n--" + inner + b"--\n",
            b"--" + outer + b"\n\ntwo\n--" + outer + b"--\n",
        )
    )
    first, second = mail.parse(raw).root.children
    assert [raw[part.body : part.end] for part in first.children] == [b"one"]
    assert raw[second.body : second.end] == b"two"


def test_parts_of_a_digest_are_messages_unless_they_say_otherwise() -> None:
    head = b"Content-Type: multipart/digest; boundary=b\n\n"
    raw = head + b"--b\n\nSubject: in\n\nx\n--b\nContent-Type: text/plain\n\ny\n--b--\n"
    first, second = mail.parse(raw).root.children
    assert first.enclosed is not None and first.enclosed.header[0].name == b"subject"
    assert second.enclosed is None


def test_text_with_dashes_is_no_boundary() -> None:
    assert bodies(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n-- \nAri\n--c\n--b--\n") == [b"-- \nAri\n--c"]


def nested(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n" % (level, level) for level in range(levels)
    )


BOMBS = {
    "nested multiparts": nested(4_000),
    "nested messages": b"Content-Type: message/rfc822\n\n" * 30_000,
    "many parts": b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 100_000,
    "one boundary for all": b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 4_000,
    "almost boundaries below a hundred": nested(99) + b"\n--n" * 200_000,
    "empty boundary": b'Content-Type: multipart/mixed; boundary=""\n\n' + b"--\n" * 50_000,
    "unclosed comments": b"To: " + b"(" * 200_000 + b"\n\n",
    "blanks": b"Subject: " + b" \t" * 250_000 + b"x\n\n",
    "quotes": b"To: " + b'"' * 200_000 + b"\n\n",
    "parameters": b"Content-Type: text/plain" + b"; a*0*=b" * 100_000 + b"\n\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_message_costs_time_in_proportion_and_stays_within_bounds(name: str) -> None:
    raw = BOMBS[name]
    started = time.process_time()
    message = mail.parse(raw)
    mail.envelope(message), mail.body(message), mail.bodystructure(message)
    assert time.process_time() - started < 5
    waiting, count = [(message.root, 1)], 0
    while waiting:
        part, depth = waiting.pop()
        count += 1
        assert depth <= MAX_DEPTH + 1
        waiting += [(child, depth + 1) for child in part.children]
    assert count <= MAX_PARTS + MAX_DEPTH


def test_a_header_of_countless_lines_is_served_whole_and_looked_at_in_part() -> None:
    raw = b"Subject: x\n" + b"a\n" * 100_000 + b"From: <a@b.c>\n\nbody\n"
    message = mail.parse(raw)
    assert len(message.root.header) == MAX_FIELDS
    assert mail.envelope(message).startswith(b'(NIL "x" NIL ')
    header = mail.section(message, mail.SectionSpec((), "HEADER", ()))
    assert header is not None and b"".join(header).endswith(b"From: <a@b.c>\r\n\r\n")


def test_the_fields_of_all_parts_together_have_a_bound() -> None:
    one = b"--b\n" + b"a: b\n" * 990 + b"Content-Type: text/html\n\nx\n"
    message = mail.parse(b"Content-Type: multipart/mixed; boundary=b\n\n" + one * 50)
    counts = [len(part.header) for part in parts(message.root)]
    assert sum(counts) == MAX_FIELDS
    assert counts[-1] == 0 and len(counts) == 51, "the parts themselves are all there"


def test_the_headers_of_all_parts_together_are_looked_at_up_to_a_bound() -> None:
    one = b"--b\n" + b"a: " + b"b" * 100_000 + b"\n\nx\n"
    message = mail.parse(b"Content-Type: multipart/mixed; boundary=b\n\n" + one * 50)
    looked_at = sum(len(field.raw) for part in parts(message.root) for field in part.header)
    assert looked_at <= MAX_HEADERS_BYTES
    assert len(message.root.children) == 50
