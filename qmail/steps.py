"""Blocking file work in steps, so that several works can wait for the disk together.

A work is a generator that yields what it needs before it goes on: a file on stable storage, a directory's names on
stable storage, or a thing that its neighbours need as well. Whoever runs it - `alone` here, or a group's runner -
sees to that and sends it back in. Each work still asks for all that its promise needs; a group only asks once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SyncedNames:
    """The names in a directory, a path below the descriptor `below`, must be on stable storage.

    known_as: one name for this directory among all works of a group; empty where it has none."""

    below: int
    path: bytes
    known_as: bytes

    def sync(self) -> None:
        """Do it. Raises OSError."""
        fd = os.open(self.path, _DIRECTORY, dir_fd=self.below)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Shared:
    """Something made once for all works of a group that ask for the same key, and ended after the last of them."""

    key: Hashable
    make: Callable[[], Any]
    end: Callable[[Any], None]


#: A bare descriptor: what was written to this file must be on stable storage, as after fsync(2).
Wish: TypeAlias = int | SyncedNames | Shared
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


def alone(steps: Steps[T]) -> T:
    """Do a work without company; its result. Raises what it raises."""
    shelf = Shelf()
    try:
        wish = next(steps)
        while True:
            try:
                answer = _grant(wish, shelf)
            except Exception as error:
                wish = steps.throw(error)
            else:
                wish = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        shelf.end()


def _grant(wish: Wish, shelf: Shelf) -> Any:
    if isinstance(wish, Shared):
        return shelf.get(wish)
    if isinstance(wish, SyncedNames):
        return wish.sync()
    return os.fsync(wish)
