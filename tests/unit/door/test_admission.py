"""Counting clients over several processes."""

from __future__ import annotations

import os

from qmail.door.admission import Admission, Admitted, Budget


def test_limits() -> None:
    admission = Admission(1)
    admission.claim_row()
    assert admission.enter("1.1.1.1", Budget(2, 1)) is Admitted.YES
    assert admission.enter("1.1.1.1", Budget(2, 1)) is Admitted.FULL_FOR_ADDRESS
    assert admission.enter("2.2.2.2", Budget(2, 1)) is Admitted.YES
    assert admission.enter("3.3.3.3", Budget(2, 1)) is Admitted.FULL
    admission.leave("1.1.1.1")
    assert admission.total() == 1
    assert admission.enter("1.1.1.1", Budget(2, 1)) is Admitted.YES


def test_processes_see_each_other_and_a_killed_ones_counts_are_forgotten() -> None:
    admission = Admission(2)
    admission.claim_row()
    admission.enter("1.1.1.1", Budget(10, 10))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        admission.claim_row()
        admission.enter("1.1.1.1", Budget(10, 10))
        os.write(writing, b"%d" % admission.total())
        os._exit(0)
    assert os.read(reading, 10) == b"2"
    os.waitpid(child, 0)
    assert admission.total() == 2
    assert admission.enter("1.1.1.1", Budget(10, 2)) is Admitted.FULL_FOR_ADDRESS
    child = os.fork()
    if child == 0:
        admission.claim_row()
        os.write(writing, b"%d" % admission.total())
        os._exit(0)
    assert os.read(reading, 10) == b"1"
    os.waitpid(child, 0)
