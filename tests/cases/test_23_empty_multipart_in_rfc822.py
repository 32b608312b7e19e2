"""A multipart without parts in a message in a message, as broken bounces have it."""

from __future__ import annotations

import re

from tests.cases.conftest import Case

MESSAGE = b"""\
From: a@example.org
Subject: report
MIME-Version: 1.0
Content-Type: multipart/report; boundary="b"; report-type=delivery-status

--b

text
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; x

--b
Content-Type: message/rfc822

Subject: in
Content-Type: multipart/alternative; boundary="c"

--b--
"""


def test_a_multipart_without_parts_is_shown_with_an_empty_one(case: Case) -> None:
    path = case.put("c23.host:2,S", MESSAGE)
    with case.imap() as session:
        found = re.search(rb"\* SEARCH (\d+)", session.imap(b'SEARCH SUBJECT "report"'))
        assert found
        answer = session.imap(b"FETCH %b BODYSTRUCTURE" % found[1])
        inner = b'"7bit" 0 0 NIL NIL NIL NIL) "alternative" ("boundary" "c")'
        assert inner in answer
        assert b'"report" ("boundary" "b" "report-type" "delivery-status")' in answer
        assert b"multipart/alternative" in session.imap(b"FETCH %b BODY.PEEK[3.HEADER]" % found[1])
    path.unlink()
