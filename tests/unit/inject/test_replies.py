"""What the commands say on standard error."""

from __future__ import annotations

import pytest

from services.inject.replies import Fatal, unparsable_line


def test_a_line_that_a_stranger_wrote_is_told_as_printable_text(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Fatal) as caught:
        unparsable_line(b"To: \x1b]0;x\x07 (\xff\xe2\x80\xae\n")
    assert caught.value.tell() == 100
    told = "qmail-inject: fatal: unable to parse this line:\nTo: \\x1b]0;x\\x07 (\\xff\\u202e\n"
    assert capfd.readouterr().err == told
