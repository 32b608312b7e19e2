"""`bounce` and `keep`: what the scheduler asks of the bounce writer, who alone may read bodies here.

The first has a bounce put, the second a message copied to HOLD. The scheduler waits ASK_SECONDS; where the writer is
away or could not do it the scheduler asks again, and asking twice makes one bounce and one copy.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from qmail.bus.ports import Bus, TemporaryError
from qmail.bus.talk.messages import AskBus, Malformed, answer_each, flag, require_whole, strict, text, whole
from qmail.message.envelope import Envelope, decode_envelope, encode_envelope
from qmail.queue.deliveries import RecordPosition

BOUNCE: Final = "bounce"
KEEP: Final = "keep"
SUBJECTS: Final = (BOUNCE, KEEP)
ASK_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceRequest:
    """Put the bounce of a message under the number `bounce_id`; `paragraphs` say what failed.

    envelope: the message's own, where its body is gone; the bounce says so then."""

    id: int
    held: bool
    position: RecordPosition
    bounce_id: int
    paragraphs: bytes
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """Copy a message to HOLD; without a position the record of IN with that number, as it is."""

    id: int
    position: RecordPosition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether it is done. discarded: there is nobody to send this bounce to. missing: no stream has the body."""

    ok: bool
    discarded: bool = False
    missing: bool = False
    error: str = ""


Request = TypeVar("Request", BounceRequest, CopyRequest)


def encode_bounce(request: BounceRequest) -> bytes:
    """The request `bounce` (docs/formats.md; tests/golden/bounce.json)."""
    fields: dict[str, object] = {
        "id": request.id,
        "held": request.held,
        "place": request.position.as_list(),
        "bounce_id": request.bounce_id,
        "text": request.paragraphs.decode("latin-1"),
    }
    if request.envelope is not None:
        fields["envelope"] = encode_envelope(request.envelope).decode("ascii")
    return json.dumps(fields).encode("ascii")


@strict("a request for a bounce")
def decode_bounce(payload: bytes) -> BounceRequest:
    """Raises Malformed."""
    f = json.loads(payload)
    return BounceRequest(
        id=whole(f["id"]),
        held=flag(f["held"]),
        position=_position(f["place"]),
        bounce_id=whole(f["bounce_id"]),
        paragraphs=f["text"].encode("latin-1"),
        envelope=decode_envelope(f["envelope"].encode("ascii")) if "envelope" in f else None,
    )


def encode_copy(request: CopyRequest) -> bytes:
    position = None if request.position is None else request.position.as_list()
    return json.dumps({"id": request.id, "place": position}).encode("ascii")


@strict("a request for a copy")
def decode_copy(payload: bytes) -> CopyRequest:
    """Raises Malformed."""
    f = json.loads(payload)
    return CopyRequest(whole(f["id"]), None if f["place"] is None else _position(f["place"]))


def _position(numbers: Sequence[int]) -> RecordPosition:
    require_whole(*numbers)
    return RecordPosition(*numbers)


def encode_answer(answer: Answer) -> bytes:
    fields: dict[str, object] = {"ok": answer.ok}
    if answer.discarded:
        fields["discarded"] = True
    if answer.missing:
        fields["missing"] = True
    if answer.error:
        fields["error"] = answer.error
    return json.dumps(fields).encode("ascii")


@strict("the bounce writer's answer")
def decode_answer(payload: bytes) -> Answer:
    """Raises Malformed."""
    f = json.loads(payload)
    return Answer(
        ok=flag(f["ok"]),
        discarded=flag(f.get("discarded", False)),
        missing=flag(f.get("missing", False)),
        error=text(f.get("error", "")),
    )


async def ask_bounce(bus: AskBus, request: BounceRequest) -> Answer:
    """The scheduler's end. Never raises: without an answer it is not done."""
    return await _ask(bus, BOUNCE, encode_bounce(request))


async def ask_copy(bus: AskBus, request: CopyRequest) -> Answer:
    """The scheduler's end. Never raises: without an answer it is not done."""
    return await _ask(bus, KEEP, encode_copy(request))


async def _ask(bus: AskBus, subject: str, payload: bytes) -> Answer:
    try:
        return decode_answer(await bus.request(subject, payload, ASK_SECONDS))
    except (TemporaryError, Malformed) as error:
        return Answer(ok=False, error=str(error))


async def answer(
    bus: Bus,
    put: Callable[[BounceRequest], Awaitable[Answer]],
    copy: Callable[[CopyRequest], Awaitable[Answer]],
) -> None:
    """The bounce writer's end: answer from now on with what `put` and `copy` did. Raises BusDown."""
    await answer_each(bus, BOUNCE, partial(_respond, decode_bounce, put))
    await answer_each(bus, KEEP, partial(_respond, decode_copy, copy))


async def _respond(
    decode: Callable[[bytes], Request], work: Callable[[Request], Awaitable[Answer]], payload: bytes
) -> bytes:
    try:
        request = decode(payload)
    except Malformed as error:
        return encode_answer(Answer(ok=False, error=str(error)))
    return encode_answer(await work(request))
