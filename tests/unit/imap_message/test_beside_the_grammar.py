"""Headers, boundaries and addresses a little beside the grammar: read as Dovecot 2.3.19.1 reads the same file."""

# ruff: noqa: E501 - recorded answers

from __future__ import annotations

import pytest

from services.imap import message as mail

STRUCTURES = [
    (b"Content-Type: x-zip; name=a.zip", b'("" "" NIL NIL NIL "7bit" 6 NIL NIL NIL NIL)'),
    (b"Content-Type: x-zip", b'("x-zip" "" NIL NIL NIL "7bit" 6 NIL NIL NIL NIL)'),
    (b"Content-Type: /plain", b'("" "" NIL NIL NIL "7bit" 6 NIL NIL NIL NIL)'),
    (b"Content-Type: text/plain; charset=", b'("text" "plain" ("charset" "") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)'),
    (b"Content-Type: text;charset=utf-8", b'("" "" NIL NIL NIL "7bit" 6 NIL NIL NIL NIL)'),
    (b"Content-Type: text\\/plain", b'("" "" NIL NIL NIL "7bit" 6 NIL NIL NIL NIL)'),
    (
        b"Content-Type: text/plain; a=b c=d; e=f",
        b'("text" "plain" ("a" "b" "e" "f" "charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Type: text/plain; name=<a@b>",
        b'("text" "plain" ("name" "" "charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b'Content-Type: TEXT/plain ; Charset = "utf-8" ; x = y',
        b'("TEXT" "plain" ("Charset" "utf-8" "x" "y") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Type: text/plain; charset=utf-8; charset=latin1",
        b'("text" "plain" ("charset" "utf-8" "charset" "latin1") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Transfer-Encoding: 7 bit",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Transfer-Encoding: 8bit (x)",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Transfer-Encoding: (c) base64",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "base64" 6 1 NIL NIL NIL NIL)',
    ),
    (
        b"Content-Disposition: inline\nContent-Disposition: attachment",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL ("attachment" NIL) NIL NIL)',
    ),
    (
        b"Content-Disposition: ; filename=a",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL ("" ("filename" "a")) NIL NIL)',
    ),
    (
        b'Content-Disposition: "attachment"; filename=a',
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL ("" ("filename" "a")) NIL NIL)',
    ),
    (
        b"Content-Disposition: attachment, filename=x",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL ("attachment" NIL) NIL NIL)',
    ),
    (
        b"Content-Disposition: attachment; filename=a b.txt",
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL ("attachment" ("filename" "a")) NIL NIL)',
    ),
    (b"Content-Language: en de", b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL ("en") NIL)'),
    (b"Content-Type : text/html", b'("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)'),
    (
        b"Content-ID: <a>\nContent-ID: <b>",
        b'("text" "plain" ("charset" "us-ascii") "<a>" NIL "7bit" 6 1 NIL NIL NIL NIL)',
    ),
    (b" Content-Type: text/html", b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)'),
]

MULTIPARTS = [
    (
        b"--b \n\none\n--b \n\ntwo\n--b-- \n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--bx\n\none\n--b--\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\none\n--b--\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\n--b\n--b--\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b--\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"no boundary\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\nContent-Type: text/html",
        b'(("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\n\none\n--b-\n\ntwo\n--b--\n",
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nin\n--b--\n",
        b'((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0 NIL NIL NIL NIL) "mixed" ("boundary" "c") NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nin\n--b--\nepi\n--b--\n",
        b'((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\nContent-Type: multipart/mixed; boundary=b-\n\n--b-\n\nin\n--b---\nepi\n--b--\n",
        b'((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0 NIL NIL NIL NIL) "mixed" ("boundary" "b-") NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
    (
        b"--b\nContent-Type: MESSAGE/RFC822\n\nSubject: in\n\nbody\n--b--\n",
        b'(("message" "rfc822" NIL NIL NIL "7bit" 19 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)',
    ),
]

# Where Dovecot has fillers (MISSING_MAILBOX) we have nothing.
ADDRESSES = [
    (b"(c) a@b", b'((NIL NIL "a" "b"))'),
    (b"a@b (c)", b'(("c" NIL "a" "b"))'),
    (b"A <a@b> B", b'(("A" NIL "a" "b"))'),
    (b"a b <c@d>", b'(("a b" NIL "c" "d"))'),
    (b"A B. C <a@b>", b'(("A B. C" NIL "a" "b"))'),
    (b"a@b>", b'((NIL NIL "a" "b"))'),
    (b"a.b@[1.2.3.4]", b'((NIL NIL "a.b" "[1.2.3.4]"))'),
    (b"g: a@b, c@d", b'((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL "c" "d")(NIL NIL NIL NIL))'),
    (b"<@r1,@r2:a@b>", b'((NIL "@r1,@r2" "a" "b"))'),
    (b"=?utf-8?q?A?=<a@b>", b'(("=?utf-8?q?A?=" NIL "a" "b"))'),
    (b"a @ b . c", b'((NIL NIL "a" "b.c"))'),
    (b"A: <a@b>", b'((NIL NIL "A" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))'),
    (b'"A" "B" <a@b>', b'(("A B" NIL "a" "b"))'),
    (b"undisclosed recipients", b'(("undisclosed recipients" NIL "" ""))'),
    (b'"Mailing List"', b'(("Mailing List" NIL "" ""))'),
    (b"a b@c", b'(("a b" NIL "" ""))'),
]


@pytest.mark.parametrize(("header", "structure"), STRUCTURES)
def test_headers(header: bytes, structure: bytes) -> None:
    assert mail.bodystructure(mail.parse(b"MIME-Version: 1.0\n" + header + b"\n\nbody\n")) == structure


@pytest.mark.parametrize(("body", "structure"), MULTIPARTS)
def test_boundaries(body: bytes, structure: bytes) -> None:
    head = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    assert mail.bodystructure(mail.parse(head + body)) == structure


@pytest.mark.parametrize(("written", "shown"), ADDRESSES)
def test_addresses(written: bytes, shown: bytes) -> None:
    envelope = mail.envelope(mail.parse(b"To: " + written + b"\n\nx\n"))
    assert envelope == b"(NIL NIL NIL NIL NIL " + shown + b" NIL NIL NIL NIL)"
