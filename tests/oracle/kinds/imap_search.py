"""Kind imap_search: SEARCH, SORT and THREAD over the mailbox of all recorded messages (recorded from Dovecot).

The commands need all 273 messages, of which the project's own copy holds 172, so this kind runs only on a directory
that has the whole recording (oracle.jsonl and search.jsonl).
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.tokens import Token
from services.imap.message import Field, Message, parse, read_header, rfc822_size
from services.imap.search.esearch import parse_returns, render_esearch
from services.imap.search.match import bind, matches
from services.imap.search.parse import BadCharset, parse_search
from services.imap.search.program import Key
from services.imap.search.sort import parse_sort, sort_messages
from services.imap.search.thread import parse_thread, render_threads, thread_messages

_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n")


@dataclass
class Stored:
    """One message of the recording as a MessageView."""

    seq: int
    raw: bytes
    flags: frozenset[bytes]
    keywords: frozenset[bytes]
    internaldate: int
    uid: int = field(init=False)

    def __post_init__(self) -> None:
        self.uid = self.seq

    @cached_property
    def _message(self) -> Message:
        return parse(self.raw)

    @cached_property
    def _header(self) -> list[Field]:
        return read_header(self.raw)

    def size(self) -> int:
        return rfc822_size(self._message.text)

    def header(self) -> list[Field]:
        return self._header

    def message(self) -> Message:
        return self._message


def read_cases(directory: Path) -> list[dict[str, Any]]:
    """The cases in a directory that has the whole recording."""
    messages, commands = directory / "oracle.jsonl", directory / "search.jsonl"
    if not (messages.exists() and commands.exists()):
        return []
    with commands.open() as lines:
        return [{**row, "expect": expected(row), "messages": messages} for row in map(json.loads, lines)]


@lru_cache(maxsize=2)
def mailbox(path: Path) -> list[Stored]:
    """The messages in `path` (oracle.jsonl), numbered as in the recording."""
    with path.open() as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Stored(
            seq=number,
            raw=base64.b64decode(row["raw_b64"]),
            flags=frozenset(flag.encode() for flag in row["flags"]),
            keywords=frozenset(keyword.encode() for keyword in row["keywords"]),
            internaldate=int(row["mtime"]),
        )
        for number, row in enumerate(rows, start=1)
    ]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Status and ids, ret or tree."""
    messages = mailbox(case["messages"])
    tokens = Cursor(_parts(base64.b64decode(case["command_b64"]))).tokens()
    uid = tokens[0].value.upper() == b"UID"  # type: ignore[union-attr]
    verb, rest = (tokens[1], tokens[2:]) if uid else (tokens[0], tokens[1:])
    try:
        return {"status": "OK", **_COMMANDS[verb.value.upper()](rest, messages, uid)}  # type: ignore[union-attr]
    except BadSyntax:
        return {"status": "BAD"}
    except BadCharset:
        return {"status": "NO"}


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What was recorded, without texts."""
    result = case["result"]
    return {name: result[name] for name in ("status", "ids", "tree", "ret") if name in result}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether all is equal."""
    return bool(expected == actual)


def _parts(command: bytes) -> tuple[bytes, ...]:
    """Text, literal, text, ... as the reader of commands gives them."""
    parts = []
    while found := _LITERAL.search(command):
        start = found.end()
        end = start + int(found[1])
        parts += [command[: found.start()], command[start:end]]
        command = command[end:]
    return (*parts, command)


def _found(key: Key, messages: list[Stored]) -> list[Stored]:
    bound = bind(key, len(messages), messages[-1].uid)
    return [view for view in messages if matches(bound, view)]


def _search(tokens: tuple[Token, ...], messages: list[Stored], uid: bool) -> dict[str, Any]:
    returns, tokens = parse_returns(tokens)
    return _numbers([view.seq for view in _found(parse_search(tokens), messages)], returns, uid)


def _sort(tokens: tuple[Token, ...], messages: list[Stored], uid: bool) -> dict[str, Any]:
    asked = parse_sort(tokens)
    ordered = sort_messages(asked.criteria, _found(asked.key, messages))
    return _numbers([view.seq for view in ordered], asked.returns, uid)


def _thread(tokens: tuple[Token, ...], messages: list[Stored], uid: bool) -> dict[str, Any]:
    asked = parse_thread(tokens)
    threads = thread_messages(asked.algorithm, _found(asked.key, messages), uid=uid)
    return {"tree": _tree(render_threads(threads))}


def _numbers(numbers: list[int], returns: frozenset[bytes] | None, uid: bool) -> dict[str, Any]:
    if returns is None:
        return {"ids": numbers}
    words = render_esearch(b"x", numbers, returns, uid=uid).decode().split(" ")[3:]
    words = words[1:] if words[:1] == ["UID"] else words
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    return {"ret": {name: value if name == "ALL" else int(value) for name, value in pairs.items()}}


def _tree(answer: bytes) -> list[Any]:
    """THREAD's answer as nested lists."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|\d+", answer.decode()):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(int(token))
    return stack[0]


_COMMANDS = {b"SEARCH": _search, b"SORT": _sort, b"THREAD": _thread}
