"""A Content-Type without a subtype: no type at all, and the other parts as they are."""

from __future__ import annotations

import re

from tests.cases.conftest import Case

MESSAGE = b"""\
From: a@example.org
To: b@example.org
Subject: type without subtype
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=windows-1251

hi
--b
Content-Type: X-ZIP; name="a.zip"
Content-Disposition: attachment; filename="a.zip"
Content-Transfer-Encoding: base64

AAAA
--b--
"""


def test_a_part_whose_type_has_no_subtype_is_shown_with_its_file_name(case: Case) -> None:
    path = case.put("c22.host:2,S", MESSAGE)
    with case.imap() as session:
        found = re.search(rb"\* SEARCH (\d+)", session.imap(b'SEARCH SUBJECT "type without subtype"'))
        assert found
        answer = session.imap(b"FETCH %b BODYSTRUCTURE" % found[1])
        assert b'("" "" NIL NIL NIL "base64" 4 NIL ("attachment" ("filename" "a.zip")) NIL NIL) "mixed"' in answer
        assert b"AAAA" in session.imap(b"FETCH %b BODY.PEEK[2]" % found[1])
    path.unlink()
