"""What every conversation needs: payloads that are strictly decoded, and questions that are answered."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from qmail.bus.ports import Bus, Message, Subscription

Form = TypeVar("Form")
#: The queue group of everybody who answers: one of its members gets each message.
WORKERS: Final = "workers"
_NOT_THE_FORM: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Malformed(ValueError):
    """A payload is not what its subject carries; the text says what was expected and what is wrong."""


class AskBus(Protocol):
    """What whoever asks needs of the bus."""

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes: ...


def strict(what: str) -> Callable[[Callable[[bytes], Form]], Callable[[bytes], Form]]:
    """Make a decoder raise Malformed, and nothing else, for whatever is not `what`."""

    def decorate(decode: Callable[[bytes], Form]) -> Callable[[bytes], Form]:
        @functools.wraps(decode)
        def decoded(payload: bytes) -> Form:
            try:
                return decode(payload)
            except _NOT_THE_FORM as error:
                raise Malformed(f"not {what}: {error}") from error

        return decoded

    return decorate


def whole(value: Any) -> int:
    """A JSON integer. Raises ValueError for anything else, true and false among it."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value


def require_whole(*values: object) -> None:
    """Raises ValueError unless every value is a JSON integer; for rows of many."""
    if {*map(type, values)} != {int}:
        raise ValueError(f"{values!r} are not all whole numbers")


def flag(value: Any) -> bool:
    """A JSON true or false. Raises ValueError for anything else."""
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def text(value: Any) -> str:
    """A JSON string. Raises ValueError for anything else."""
    if type(value) is not str:
        raise ValueError(f"{value!r} is no text")
    return value


def require_version(fields: Any, version: int) -> None:
    """Raises ValueError where a message is of another version."""
    if fields["v"] != version:
        raise ValueError(f"version {fields['v']}; expected {version}")


def _in_silence(_: Malformed) -> None:
    """Whoever sent it hears nothing, and does what it does when nobody is there."""


async def hear(
    bus: Bus,
    subject: str,
    decode: Callable[[bytes], Form],
    take: Callable[[Form], None],
    *,
    group: str = "",
    ignored: Callable[[Malformed], None] = _in_silence,
) -> Subscription:
    """Have every message of a subject decoded and given to `take`, what is malformed to `ignored`. Raises BusDown."""

    def receive(message: Message) -> None:
        try:
            found = decode(message.payload)
        except Malformed as error:
            ignored(error)
            return
        take(found)

    return await bus.subscribe(subject, receive, group)


async def answer_each(
    bus: Bus, subject: str, respond: Callable[[bytes], Awaitable[bytes | None]], *, group: str = WORKERS
) -> Subscription:
    """Answer each question in a task of its own; None is no answer. Raises BusDown."""
    tasks: set[asyncio.Task[None]] = set()

    async def work(message: Message) -> None:
        answer = await respond(message.payload)
        if answer is not None:
            bus.publish(message.reply, answer)

    def take(message: Message) -> None:
        if message.reply:
            task = asyncio.create_task(work(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return await bus.subscribe(subject, take, group)
