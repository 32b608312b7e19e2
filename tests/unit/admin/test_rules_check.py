"""`qmailctl cdb` names the line that tcprules would not take."""

from __future__ import annotations

import pytest

from services.admin.rules_check import first_bad_line


@pytest.mark.parametrize(
    "line",
    ['127.:allow,RELAYCLIENT=""', ":allow", ":deny", "", "# a word", "10.0.0.1-9:allow,A=/x/,B='y,z'", "=host.org:deny",
     "joe@1.2.3.4:allow,RELAYCLIENT=\"@fix\"  "],
)  # fmt: skip
def test_a_good_line(line: str) -> None:
    assert first_bad_line(f"{line}\n:allow\n") is None


@pytest.mark.parametrize(
    "line",
    ["127.0.0.1",
     "127.:permit", "127.:allow;A=1", '127.:allow,RELAYCLIENT="', "127.:allow,RELAYCLIENT", "127.:allow,=''",
     "127.:", "127.:allow,A='x'y"],
)  # fmt: skip
def test_a_bad_line(line: str) -> None:
    assert first_bad_line(f":allow\n{line}\n") == line
