"""Kind imap_fetch: what FETCH says of one message (recorded from Dovecot over the same files)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.recorded_mailbox import serving
from tests.support.imap_door import Raw

Tree = Any
FILLERS = {"MISSING_DOMAIN", "MISSING_MAILBOX", "SYNTAX_ERROR"}
_NAMES = ("imap_oracle.jsonl", "oracle.jsonl")
_TOKEN = re.compile(rb'\(|\)| |\{(\d+)\}\r\n|"((?:[^"\\]|\\.)*)"|([^ ()"{]+)', re.DOTALL)


def read_cases(directory: Path) -> Iterator[dict[str, Any]]:
    """The cases in a directory: the project's own copy (imap_oracle.jsonl) or the whole recording (oracle.jsonl); each
    with its message's number, and a client that has them all selected."""
    path = next((path for path in (directory / name for name in _NAMES) if path.exists()), None)
    if path is None:
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with serving(rows) as client:
        for number, row in enumerate(rows, 1):
            yield {**row, "expect": expected(row), "number": number, "client": client}


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The answers and sections asked for in the case, in the recording's shape."""
    values = _fetch(case, [*case["answers"], *case["sections"]])
    answers = {name: read_wire(values[name]) for name in case["answers"]}
    return {"answers": answers, "sections": {item: _section(values[item]) for item in case["sections"]}}


def _fetch(case: dict[str, Any], items: list[str]) -> dict[str, bytes]:
    """The value of each item, as it is on the wire."""
    client: Raw = case["client"]
    *untagged, tagged = client.answers(b"FETCH %d (%b)" % (case["number"], " ".join(items).encode("latin-1")))
    assert tagged.startswith(b"OK"), tagged
    begin = b"* %d FETCH (" % case["number"]
    answer = next(line for line in untagged if line.startswith(begin)).removeprefix(begin)
    values = {}
    for item in items:
        label = re.sub(r"<(\d+)\.\d+>\Z", r"<\1>", item.replace("BODY.PEEK", "BODY")).encode("latin-1") + b" "
        assert answer.startswith(label), (label, answer[:100])
        answer = answer.removeprefix(label)
        end = _end_of_value(answer)
        values[item], answer = answer[:end], answer[end + 1 :]
    assert not answer, answer[:100]
    return values


def _end_of_value(wire: bytes) -> int:
    """How long the first value of an answer is."""
    depth = at = 0
    while True:
        token = _TOKEN.match(wire, at)
        assert token, wire[at : at + 40]
        at = token.end() + int(token[1] or 0)
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        if depth == 0:
            return at


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What was recorded."""
    return {"answers": case["answers"], "sections": case["sections"]}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal, fillers and parts that do not exist aside."""
    return not differences(expected, actual)


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """The items that differ."""
    found = [name for name, value in expected["answers"].items() if not _like(value, actual["answers"][name])]
    for item, wanted in expected["sections"].items():
        if not _same_section(wanted, actual["sections"][item]):
            found.append(item)
    return found


def _section(value: bytes) -> dict[str, Any] | None:
    if value == b"NIL":
        return None
    announced, _, octets = value.partition(b"\r\n")
    assert announced == b"{%d}" % len(octets), announced
    return {"octets": octets}


def _same_section(wanted: dict[str, Any], actual: dict[str, Any] | None) -> bool:
    if wanted["status"] != "OK":
        return False
    if wanted.get("nonexistent"):
        return True
    if actual is None:
        return False
    value, octets = wanted["value"], actual["octets"]
    if value is None:
        return False
    if "b64" in value:
        return bool(base64.b64decode(value["b64"]) == octets)
    return bool(value["len"] == len(octets) and value["sha256"] == hashlib.sha256(octets).hexdigest())


def _like(wanted: Tree, actual: Tree) -> bool:
    """Equal, but an address into which the recorded server put a filler is equal to any address."""
    if isinstance(wanted, list) and len(wanted) == 4 and any(isinstance(w, str) and w in FILLERS for w in wanted):
        return isinstance(actual, list) and len(actual) == 4
    if isinstance(wanted, list) and isinstance(actual, list):
        return len(wanted) == len(actual) and all(map(_like, wanted, actual))
    return bool(wanted == actual)


def read_wire(wire: bytes) -> Tree:
    """Lists, strings (latin-1), numbers and NIL of a value in wire form."""
    stack: list[list[Tree]] = [[]]
    at = 0
    while at < len(wire):
        token = _TOKEN.match(wire, at)
        assert token, wire[at : at + 40]
        at = token.end()
        literal, quoted, atom = token.groups()
        if token[0] == b"(":
            stack.append([])
        elif token[0] == b")":
            done = stack.pop()
            stack[-1].append(done)
        elif literal:
            stack[-1].append(wire[at : at + int(literal)].decode("latin-1"))
            at += int(literal)
        elif quoted is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted).decode("latin-1"))
        elif atom:
            stack[-1].append(None if atom == b"NIL" else int(atom))
    assert len(stack) == 1 and len(stack[0]) == 1
    return stack[0][0]
