"""Command-line options as getopt(3) of qmail takes them, on bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.inject.replies import PERMANENT, Fatal


class Options:
    """Iterates over (letter, argument); afterwards `rest` holds the other arguments.

    `takes` are letters with an argument, `alone` those without, `attached` those whose argument, if they have one, is
    the rest of the word. An unknown letter ends the command with `usage`, after getopt's own complaint."""

    def __init__(
        self,
        program: bytes,
        arguments: Sequence[bytes],
        *,
        alone: bytes,
        takes: bytes,
        attached: bytes = b"",
        usage: bytes = b"",
    ) -> None:
        self.rest = list(arguments)
        self._program = program
        self._alone = alone
        self._takes = takes
        self._attached = attached
        self._usage = usage

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        while self.rest and self.rest[0].startswith(b"-") and self.rest[0] != b"-":
            word = self.rest.pop(0)
            if word == b"--":
                return
            yield from self._letters(word[1:])

    def _letters(self, word: bytes) -> Iterator[tuple[bytes, bytes]]:
        while word:
            letter, word = word[:1], word[1:]
            if letter in self._takes:
                if not word and not self.rest:
                    self._complain(b"option requires an argument -- " + letter)
                yield letter, word or self.rest.pop(0)
                return
            if letter in self._attached:
                yield letter, word
                return
            if letter not in self._alone:
                self._complain(b"illegal option -- " + letter)
            yield letter, b""

    def _complain(self, text: bytes) -> None:
        raise Fatal(PERMANENT, self._program + b": " + text + b"\n" + self._usage)
