"""Options as qmail's getopt(3) takes them, on bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.programs.program import PERMANENT, Ends


class Options:
    """Iterates over (letter, argument); afterwards `rest` holds the other arguments. `takes`: letters of `letters` that
    have an argument. Any other letter ends the program: getopt's complaint, then `usage`."""

    def __init__(
        self, program: bytes, arguments: Sequence[bytes], letters: bytes, *, takes: bytes = b"", usage: bytes
    ) -> None:
        self.rest = list(arguments)
        self._program, self._letters, self._takes, self._usage = program, letters, takes, usage

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        while self.rest and self.rest[0].startswith(b"-") and self.rest[0] != b"-":
            word = self.rest.pop(0)
            if word == b"--":
                return
            yield from self._of_word(word[1:])

    def _of_word(self, word: bytes) -> Iterator[tuple[bytes, bytes]]:
        while word:
            letter, word = word[:1], word[1:]
            if letter not in self._letters:
                self._complain(b"illegal option -- " + letter)
            if letter not in self._takes:
                yield letter, b""
                continue
            if not word and not self.rest:
                self._complain(b"option requires an argument -- " + letter)
            yield letter, word or self.rest.pop(0)
            return

    def _complain(self, text: bytes) -> None:
        raise Ends(PERMANENT, self._program + b": " + text + b"\n" + self._usage)
