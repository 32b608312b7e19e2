"""Kind imap_search: SEARCH, SORT and THREAD over the wire, asked of the mailbox that a recording names (recorded from
Dovecot).

The commands need all messages of that mailbox, and the project's own copy holds only some, so this kind runs only on a
directory that has the whole recording (oracle.jsonl and search.jsonl).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.oracle.recorded_mailbox import serving
from tests.support.imap_door import Raw


def read_cases(directory: Path) -> Iterator[dict[str, Any]]:
    """The cases in a directory that has the whole recording, with a client that has their mailbox selected."""
    messages, commands = directory / "oracle.jsonl", directory / "search.jsonl"
    if not (messages.exists() and commands.exists()):
        return
    rows = [json.loads(line) for line in messages.read_text(encoding="utf-8").splitlines()]
    asked = [json.loads(line) for line in commands.read_text(encoding="utf-8").splitlines()]
    for mailbox, cases in groupby(sorted(asked, key=_mailbox), key=_mailbox):
        with serving(_messages_of(mailbox, rows)) as client:
            for case in cases:
                yield {**case, "expect": expected(case), "client": client}


def _mailbox(case: dict[str, Any]) -> str:
    return str(case["mailbox"])


def _messages_of(mailbox: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A mailbox has the name of the half whose messages it holds; one of another name holds both halves'."""
    return [row for row in rows if row["half"] == mailbox] or rows


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Status and ids, ret or tree."""
    client: Raw = case["client"]
    *untagged, tagged = client.answers(base64.b64decode(case["command_b64"]))
    found: dict[str, Any] = {"status": tagged.split(b" ", 1)[0].decode()}
    for line in untagged:
        verb, _, rest = line.removeprefix(b"* ").partition(b" ")
        if verb in _READ:
            found |= _READ[verb](rest.decode())
    return found


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What was recorded, without texts."""
    result = case["result"]
    return {name: result[name] for name in ("status", "ids", "tree", "ret") if name in result}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal."""
    return bool(expected == actual)


def _numbers(answer: str) -> dict[str, Any]:
    return {"ids": [int(number) for number in answer.split()]}


def _returned(answer: str) -> dict[str, Any]:
    """`(TAG "x") UID MIN 1 ...`."""
    words = answer.partition(")")[2].split()
    words = words[1:] if words[:1] == ["UID"] else words
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    return {"ret": {name: value if name == "ALL" else int(value) for name, value in pairs.items()}}


def _tree(answer: str) -> dict[str, Any]:
    """THREAD's answer as nested lists."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|\d+", answer):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(int(token))
    return {"tree": stack[0]}


_READ = {b"SEARCH": _numbers, b"SORT": _numbers, b"ESEARCH": _returned, b"THREAD": _tree}
