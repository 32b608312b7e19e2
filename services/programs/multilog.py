"""multilog(8): lines selected by patterns, each selection to a directory, a status file or standard error."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from qmail.message.dates import tai64n
from services.programs.log_directory import LogDirectory
from services.programs.program import Program, of_system, write_all

# What patterns and status files see of a line.
_SEEN_BYTES = 1000
_STAR = ord("*")
_SHOWN_BYTES = 200
_STATUS_BYTES = 1001
_READ_BYTES = 65536
_DEFAULT_BYTES, _LEAST_BYTES, _MOST_BYTES = 99999, 4096, 16777215
_DEFAULT_FILES, _LEAST_FILES = 10, 2


def matches(pattern: bytes, line: bytes) -> bool:
    """multilog's patterns: a star is any text up to the pattern's next octet, everything where it is the last."""
    at = 0
    for number, octet in enumerate(pattern):
        if octet == _STAR:
            if number == len(pattern) - 1:
                return True
            at = line.find(pattern[number + 1], at)
            if at < 0:
                return False
        elif at < len(line) and line[at] == octet:
            at += 1
        else:
            return False
    return at == len(line)


Action = Callable[[bool, bytes], bool]


class Script:
    """The actions of one command line. `directories` are open; `take` gives them a line. Raises Ends."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self.directories: list[LogDirectory] = []
        self._stamped = bool(words) and words[0].startswith(b"t")
        self._size, self._number, self._processor = _DEFAULT_BYTES, _DEFAULT_FILES, b""
        self._actions: list[Action] = []
        self._selected: list[LogDirectory] = []
        self._descriptors = {word: _status_file(word[1:]) for word in words if word.startswith(b"=")}
        for word in words:
            action = self._action(word)
            if action is not None:
                self._actions.append(action)

    def take(self, line: bytes) -> None:
        """One line, without its newline."""
        if self._stamped:
            line = tai64n(time.time()).encode() + b" " + line
        seen, selected = line[:_SEEN_BYTES], True
        self._selected.clear()
        for action in self._actions:
            selected = action(selected, seen)
        for directory in self._selected:
            directory.write(line + b"\n")

    def flush(self) -> None:
        """What was taken is in the files."""
        for directory in self.directories:
            directory.flush()

    def _action(self, word: bytes) -> Action | None:
        letter, rest = word[:1], word[1:]
        if letter == b"s":
            self._size = min(max(_number(rest, self._size), _LEAST_BYTES), _MOST_BYTES)
        elif letter == b"n":
            self._number = max(_number(rest, self._number), _LEAST_FILES)
        elif letter == b"!":
            self._processor = rest
        elif letter == b"+":
            return lambda selected, line: selected or matches(rest, line)
        elif letter == b"-":
            return lambda selected, line: selected and not matches(rest, line)
        elif letter == b"e":
            return _to_stderr
        elif letter == b"=":
            return partial(_to_status, self._descriptors[word])
        elif letter in (b".", b"/"):
            return partial(self._to_directory, self._open(word))
        return None

    def _open(self, name: bytes) -> LogDirectory:
        directory = LogDirectory(name, self._size, self._number, self._processor)
        self.directories.append(directory)
        return directory

    def _to_directory(self, directory: LogDirectory, selected: bool, _line: bytes) -> bool:  # noqa: FBT001
        if selected:
            self._selected.append(directory)
        return selected


def _to_stderr(selected: bool, line: bytes) -> bool:  # noqa: FBT001
    if selected:
        write_all(2, (line[:_SHOWN_BYTES] + b"..." if len(line) > _SHOWN_BYTES else line) + b"\n")
    return selected


def _to_status(descriptor: int, selected: bool, line: bytes) -> bool:  # noqa: FBT001
    if selected:
        os.pwrite(descriptor, line.ljust(_STATUS_BYTES, b"\n"), 0)
    return selected


def _status_file(name: bytes) -> int:
    try:
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise of_system(b"multilog", b"unable to create " + name, error) from error


def _number(text: bytes, otherwise: int) -> int:
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    return int(digits) if digits else otherwise


class _Input:
    """Lines from standard input; after TERM up to the end of the line that has begun."""

    def __init__(self, before_waiting: Callable[[], None]) -> None:
        self._before_waiting = before_waiting
        self._ends = False
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._wake = reader
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGTERM, self._end)

    def lines(self) -> Iterator[bytes]:
        rest = b""
        while piece := self._read(one=bool(rest)):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def _end(self, *_: object) -> None:
        self._ends = True

    def _read(self, *, one: bool) -> bytes:
        self._before_waiting()
        while True:
            if self._ends and not one:
                return b""
            ready, _, _ = select.select([0, *([] if self._ends else [self._wake])], [], [])
            if self._wake in ready:
                os.read(self._wake, 64)
            elif ready:
                # Nobody else's line may be taken once the end is near.
                return os.read(0, 1 if self._ends else _READ_BYTES)


def multilog(arguments: Sequence[bytes]) -> int:
    """Log standard input to its end, or until TERM."""
    os.umask(0o022)
    script = Script(arguments)
    for line in _Input(script.flush).lines():
        script.take(line)
    for directory in script.directories:
        directory.close()
    return 0


PROGRAMS: dict[str, Program] = {"multilog": multilog}
