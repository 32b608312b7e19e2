"""Recorded runs of qmail-send's whole chain: log, files, queue listings, what remote hosts received.

The order in which deliveries that run at the same time begin and end is the processes' scheduling, not qmail's
promise: where it differs, lines are compared without it, and each log must count its own deliveries rightly.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from tests.oracle.kinds.remote import to_bytes
from tests.oracle.send_case import SendCase, text_of

_STATUS = re.compile(r"status: local (\d+)/\d+ remote (\d+)/\d+")
_START = re.compile(r"starting delivery (?P<number>\d+): (?P<what>msg \S+ to (?P<channel>\w+) .*)")
_END = re.compile(r"delivery (?P<number>\d+): (?P<result>.*)")
_INFO = re.compile(r"info msg (?P<msg>\S+): (?P<size>bytes \d+) from (?P<sender>.*) qp (?P<qp>\S+) (?P<uid>uid .*)")
# When the cases were recorded.
_PID_DIGITS = 5
_DAY_DIGITS = 2


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case in a deployment of its own."""
    began = time.time()
    actual = asyncio.run(SendCase(case["input"]).run())
    if any("inject" in step for step in case["input"]["steps"]):
        actual["log"] = [_with_recorded_length(line, began) for line in actual["log"]]
    return _numbered(actual)


def _with_recorded_length(line: str, began: float) -> str:
    """qmail-inject's Message-ID holds its process number, its Date the day of the month without a zero."""
    spare = len(str(os.getpid())) - _PID_DIGITS + len(str(time.gmtime(began).tm_mday)) - _DAY_DIGITS
    return re.sub(r": bytes (\d+) ", lambda found: f": bytes {int(found[1]) - spare} ", line)


class _Numbers:
    """Message numbers as <MSGn>, qp numbers as <QPn>, each by first appearance."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {"MSG": {}, "QP": {}}

    def show(self, text: str) -> str:
        text = re.sub(r"(?<=\(qmail )<(\d{5})>", lambda m: self._name("QP", m[1]), text)
        text = re.sub(r"(?<=\bqp[ _])\d{5}\b", lambda m: self._name("QP", m[0]), text)
        return re.sub(r"(?<=msg )\d{5}\b|(?<=#)\d{5}\b|(?<=bounce/)\d{5}\b", lambda m: self._name("MSG", m[0]), text)

    def _name(self, kind: str, number: str) -> str:
        known = self._known[kind]
        return f"<{kind}{known.setdefault(number, len(known) + 1)}>"


def _numbered(actual: dict[str, Any]) -> dict[str, Any]:
    numbers = _Numbers()

    def show(value: Any) -> Any:
        if isinstance(value, str):
            return numbers.show(value)
        if isinstance(value, list):
            return [show(item) for item in value]
        if isinstance(value, dict):
            return {key: show(item) for key, item in value.items()}
        return value

    # The log first: it gives the numbers.
    log = show(actual["log"])
    return {**show(actual), "log": log}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether everything is equal, or would be if what ran at the same time had run in the recorded order."""
    expected = _as_text(_owned(expected))
    if expected == actual:
        return True
    return _counts_rightly(actual["log"]) and _unordered(expected) == _unordered(actual)


def _owned(result: dict[str, Any]) -> dict[str, Any]:
    # Another user than root runs everything as himself.
    if os.geteuid() == 0:
        return result
    return {**result, "files": [{**file, "owner": None} for file in result["files"]]}


def _as_text(value: Any) -> Any:
    if isinstance(value, dict) and "b64" in value:
        return text_of(to_bytes(value))
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    return value


def _counts_rightly(log: Sequence[str]) -> bool:
    """Whether deliveries are numbered in order, and each is followed by a status line that counts what runs."""
    running: dict[str, str] = {}
    started = 0
    for line, after in pairwise(log):
        start, end = _START.match(line), _END.match(line)
        if start:
            started += 1
            if int(start["number"]) != started:
                return False
            running[start["number"]] = start["channel"]
        elif end and running.pop(end["number"], None) is None:
            return False
        status = _STATUS.match(after) if start or end else None
        counts = Counter(running.values())
        if (start or end) and (status is None or status.groups() != (str(counts["local"]), str(counts["remote"]))):
            return False
    return True


def _unordered(result: dict[str, Any]) -> dict[str, Any]:
    """The result with messages named after what they are, lines without delivery numbers and in any order."""
    names = _canonical_names(result["log"])

    def show(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"<(?:MSG|QP)\d+>", lambda found: names.get(found[0], found[0]), value)
        if isinstance(value, list):
            return [show(item) for item in value]
        if isinstance(value, dict):
            return {key: show(item) for key, item in value.items()}
        return value

    first, *log = _without_numbers(show(result["log"]))
    log = [line for line in log if not _STATUS.match(line)]
    shown = show({key: value for key, value in result.items() if key != "log"})
    return {**shown, "files": sorted(shown["files"], key=repr), "first": first, "log": sorted(log)}


def _canonical_names(log: Sequence[str]) -> dict[str, str]:
    """<MSGn> and its <QPn> -> a name by the message's size, sender, recipients, not by its turn."""
    found: list[tuple[str, str, str, str]] = []
    for line in log:
        info = _INFO.match(line)
        if info:
            starts = sorted(other.partition(" to ")[2] for other in log if f": msg {info['msg']} to " in other)
            found.append((f"{info['size']} {info['sender']} {info['uid']} {starts}", line, info["msg"], info["qp"]))
    names: dict[str, str] = {}
    for number, (_, _, msg, qp) in enumerate(sorted(found, key=lambda row: row[0])):
        names[msg] = names[qp] = f"<message {number}>"
    return names


def _without_numbers(log: Iterable[str]) -> Iterator[str]:
    """Lines that name a delivery by its message and recipient."""
    known: dict[str, str] = {}
    for line in log:
        start, end = _START.match(line), _END.match(line)
        if start:
            known[start["number"]] = start["what"]
            yield f"starting delivery: {start['what']}"
        elif end:
            yield f"delivery of {known.get(end['number'])}: {end['result']}"
        else:
            yield line
