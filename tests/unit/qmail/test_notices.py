"""Refusals and what stands: written, bounded, and repeated by nobody but stat."""

from __future__ import annotations

from qmail.log.notices import BURST_LINES, MAX_REMEMBERED, MAX_STANDING, SECONDS_PER_LINE, Notices, Refused


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_refusal_says_who_what_and_why() -> None:
    lines: list[str] = []
    Notices(lines.append).refused(Refused.TLS, "192.0.2.1", "STARTTLS on 587", "unsupported protocol")
    assert lines == ["refused tls 192.0.2.1: STARTTLS on 587: unsupported protocol"]


def test_of_a_flood_some_lines_are_written_and_the_others_are_counted() -> None:
    lines: list[str] = []
    clock = Clock()
    notices = Notices(lines.append, monotonic=clock)
    for _ in range(BURST_LINES + 7):
        notices.refused(Refused.LOGIN, "192.0.2.1", "AUTH", "wrong password")
    assert len(lines) == BURST_LINES
    clock.now += SECONDS_PER_LINE
    notices.refused(Refused.LOGIN, "192.0.2.1", "AUTH", "wrong password")
    assert lines[-1].endswith("wrong password (7 more not written)")


def test_one_client_does_not_silence_another() -> None:
    lines: list[str] = []
    notices = Notices(lines.append, monotonic=Clock())
    for _ in range(BURST_LINES * 2):
        notices.refused(Refused.LOGIN, "192.0.2.1", "AUTH", "wrong password")
    notices.refused(Refused.LOGIN, "192.0.2.2", "AUTH", "wrong password")
    notices.refused(Refused.TLS, "192.0.2.1", "port 465", "no shared cipher")
    assert len(lines) == BURST_LINES + 2


def test_a_million_clients_take_no_more_memory_than_some_thousand() -> None:
    notices = Notices(lambda line: None, monotonic=Clock())
    for number in range(MAX_REMEMBERED + 100):
        notices.refused(Refused.CONNECTION, str(number), "port 25", "too many")
    assert len(notices._told) == MAX_REMEMBERED


def test_what_stands_is_said_once_and_ends_with_a_line() -> None:
    lines: list[str] = []
    notices = Notices(lines.append, clock=Clock())
    for _ in range(3):
        notices.stands("tls", "no TLS: key.pem is encrypted")
    assert [(each.key, each.since) for each in notices.standing] == [("tls", 1000.0)]
    notices.mended("tls")
    notices.mended("tls")
    assert lines == ["alert: no TLS: key.pem is encrypted", "mended: no TLS: key.pem is encrypted"]
    assert notices.standing == ()


def test_what_stands_is_bounded() -> None:
    notices = Notices(lambda line: None)
    for number in range(MAX_STANDING + 5):
        notices.stands(str(number), f"fault {number}")
    assert len(notices.standing) == MAX_STANDING
