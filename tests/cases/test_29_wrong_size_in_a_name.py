"""A file whose name lies about its size (`,S=`, `,W=`): the size that is told is that of what is sent."""

from __future__ import annotations

import re

from tests.cases.conftest import Case


def test_sizes_are_those_of_the_file_whatever_its_name_says(case: Case) -> None:
    case.put("c29.host,S=99999,W=5:2,S", b"Subject: c29\n\nbody\n")
    with case.imap() as session:
        found = re.search(rb"\* SEARCH (\d+)", session.imap(b"SEARCH SUBJECT c29"))
        assert found
        answer = session.imap(b"FETCH %b (RFC822.SIZE BODY.PEEK[])" % found[1])
    sizes = re.search(rb"RFC822.SIZE (\d+) BODY\[\] \{(\d+)\}", answer)
    assert sizes and sizes[1] == sizes[2]
