"""Blocking file work in steps, so that several works can wait for the disk together.

A work is a generator that yields what it needs before it goes on: a file or directory on stable storage, or a thing
that its neighbours need as well. Whoever runs it - `alone` here, or a group's runner - sees to that and sends it back
in. Each work still asks for all that its promise needs; a group only asks once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable
from typing import Any, TypeAlias, TypeVar

from qmail.message.value import value

T = TypeVar("T")


@value()
class Shared:
    """Something made once for all works of a group that ask for the same key, and ended after the last of them."""

    key: Hashable
    make: Callable[[], Any]
    end: Callable[[Any], None]


#: A bare descriptor: what was written to this file, or the names in this directory, must be on stable storage, as
#: after fsync(2).
Wish: TypeAlias = int | Shared
Steps: TypeAlias = Generator[Wish, Any, T]


class Shelf:
    """The shared things of one group, or of a work that is alone."""

    def __init__(self) -> None:
        self._things: dict[Hashable, tuple[Shared, Any]] = {}

    def get(self, wish: Shared) -> Any:
        """The thing. Raises what making it raises; then nothing is kept."""
        kept = self._things.get(wish.key)
        if kept is None:
            kept = self._things[wish.key] = (wish, wish.make())
        return kept[1]

    def end(self) -> None:
        """Nobody needs the things any more."""
        for wish, thing in self._things.values():
            wish.end(thing)

    def advance(self, steps: Steps[Any], error: BaseException | None = None) -> int:
        """Take a work on, with the error of its last wish, until it needs a file synced; its descriptor.

        Raises StopIteration at the end of the work, and what the work raises."""
        wish = next(steps) if error is None else steps.throw(error)
        while isinstance(wish, Shared):
            try:
                thing = self.get(wish)
            except Exception as failure:
                wish = steps.throw(failure)
            else:
                wish = steps.send(thing)
        return wish


def alone(steps: Steps[T]) -> T:
    """Do a work without company; its result. Raises what it raises."""
    shelf, failure = Shelf(), None
    try:
        while True:
            fd = shelf.advance(steps, failure)
            failure = _sync(fd)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        shelf.end()


def _sync(fd: int) -> OSError | None:
    try:
        os.fsync(fd)
    except OSError as error:
        return error
    return None
