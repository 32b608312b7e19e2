"""Kind imap_fetch: what FETCH says of one message (recorded from Dovecot over the same files)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from services.imap import message as mail

Tree = Any
FILLERS = {"MISSING_DOMAIN", "MISSING_MAILBOX", "SYNTAX_ERROR"}
_ITEM = re.compile(r"BODY\.PEEK\[([\d.]*?)\.?([A-Z.]*)(?: \((.*)\))?\](?:<(\d+)\.(\d+)>)?\Z")
_TOKEN = re.compile(rb'\(|\)| |\{(\d+)\}\r\n|"((?:[^"\\]|\\.)*)"|([^ ()"{]+)', re.DOTALL)


def read_cases(directory: Path) -> list[dict[str, Any]]:
    """The cases in a directory: the project's own copy (imap_oracle.jsonl) or the whole recording (oracle.jsonl)."""
    for path in (directory / "imap_oracle.jsonl", directory / "oracle.jsonl"):
        if path.exists():
            with path.open() as lines:
                return [{**row, "expect": expected(row)} for row in map(json.loads, lines)]
    return []


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The answers and sections asked for in the case, in the recording's shape."""
    parsed = mail.parse(base64.b64decode(case["raw_b64"]))
    answers = {
        "ENVELOPE": read_wire(mail.envelope(parsed)),
        "BODY": read_wire(mail.body(parsed)),
        "BODYSTRUCTURE": read_wire(mail.bodystructure(parsed)),
        "RFC822.SIZE": mail.rfc822_size(parsed.text),
    }
    return {"answers": answers, "sections": {item: _section(parsed, item) for item in case["sections"]}}


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What was recorded, without what this kind does not cover."""
    answers = {name: value for name, value in case["answers"].items() if name != "INTERNALDATE"}
    return {"answers": answers, "sections": case["sections"]}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal, fillers and parts that do not exist aside."""
    return not differences(expected, actual)


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """The items that differ."""
    found = [
        name
        for name, value in expected["answers"].items()
        if name != "INTERNALDATE" and not _like(value, actual["answers"][name])
    ]
    for item, wanted in expected["sections"].items():
        if not _same_section(wanted, actual["sections"][item]):
            found.append(item)
    return found


def _section(parsed: mail.Message, item: str) -> dict[str, Any] | None:
    if item == "RFC822.HEADER":
        item = "BODY.PEEK[HEADER]"
    match = _ITEM.match(item)
    assert match, item
    numbers, kind, names, offset, count = match.groups()
    spec = mail.SectionSpec(
        tuple(int(number) for number in numbers.split(".") if number),
        kind or None,
        tuple(name.encode("latin-1") for name in (names or "").split()),
    )
    found = mail.section(parsed, spec, (int(offset), int(count)) if offset else None)
    if found is None:
        return None
    octets = b"".join(found)
    assert len(octets) == found.size, item
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
    """Lists, strings (latin-1), numbers and NIL of an answer in wire form."""
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
