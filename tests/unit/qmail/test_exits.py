"""qmail-queue's exit codes, as qmail.c understands them."""

from __future__ import annotations

import pytest

from qmail.queue import exits


@pytest.mark.parametrize(
    ("code", "permanent"), [(10, False), (11, True), (40, True), (41, False), (115, True), (111, False), (-9, False)]
)
def test_11_to_40_are_permanent(code: int, permanent: bool) -> None:
    assert exits.is_permanent(code) is permanent


@pytest.mark.parametrize("code", [code for code in range(-1, 256) if code])
def test_every_code_has_words_with_a_status_that_fits_it(code: int) -> None:
    status = exits.words(code).rpartition(b"(#")[2]
    assert status[:1] == (b"5" if exits.is_permanent(code) else b"4") and status[-1:] == b")"
