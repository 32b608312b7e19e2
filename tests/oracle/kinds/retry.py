"""Recorded retry times of qmail-send, answered by the scheduler itself with a clock of ours."""

from __future__ import annotations

from typing import Any

from tests.support.scheduling import make_envelope, make_scheduler


def run(case: dict[str, Any]) -> dict[str, Any]:
    """All attempts until given up, or the time after one late attempt; in seconds after birth."""
    given = case["input"]
    channel, lifetime = given["channel"], given["queuelifetime"]
    recipient = b"joni@xeris.com" if channel == "local" else b"x@far.org"
    queue = make_scheduler(lifetime=lifetime)
    now = given.get("after_birth", 0)
    queue.accept(make_envelope(1, recipient), now)
    attempts: list[dict[str, Any]] = []
    while True:
        queue.proceed(now)
        _, job = queue.jobs[-1]
        queue.answer(job, "Z", b"", now, channel)
        line = next(line for line in reversed(queue.lines) if line.startswith("delivery"))
        words, _, text = line.split(" ", 2)[2].partition(": ")
        if words == "failure" and "after_birth" in given:
            return {"given_up": True, "result": words, "report": text}
        if words == "failure":
            attempts.append({"attempt": len(attempts) + 1, "at": now, "result": words, "report": text})
            return {"attempts": attempts}
        due = queue.scheduler.messages[1].channels[channel].due
        if "after_birth" in given:
            return {"next_retry_after_birth": due}
        attempts.append({"attempt": len(attempts) + 1, "at": now, "result": words, "next": due})
        now = due


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Every time and every word."""
    return expected == actual
