"""A message in the scheduler's memory, and the one record that keeps it: `state.<id>`.

Most messages never need the record: they go at the first attempt, and a done record is all that remains.

Why: docs/decisions/0001-state-record-holds-the-envelope.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from qmail.message.address import Address
from qmail.message.envelope import Envelope, EnvelopeError, decode_envelope, encode_envelope
from qmail.queue.deliveries import RecordPosition

VERSION = 1
# A record must stay below the server's 1 MB.
MAX_LAST_BYTES = 60_000
_WORST = 6  # bytes of JSON for one of 8 bits


@dataclass(slots=True)
class Channel:
    """One message's recipients in one channel (local or remote), with the channel's one retry clock."""

    undone: set[int]
    attempts: int = 0
    due: int = 0  # seconds since the epoch
    # During a pass: what has not been started yet, and what runs.
    ready: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    dying: bool = False

    def is_busy(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return bool(self.ready or self.running)

    def start(self, number: int) -> None:
        self.running.add(number)
        self.ready.discard(number)

    def stop(self, number: int) -> None:
        self.running.discard(number)
        self.ready.discard(number)


@dataclass(slots=True)
class QueuedMessage:
    """One accepted message that is not done with."""

    envelope: Envelope
    position: RecordPosition  # where IN has it
    held: bool = False  # whether HOLD has its copy
    channels: dict[str, Channel] = field(default_factory=dict)
    addresses: dict[int, Address] = field(default_factory=dict)  # as rewritten for the channel
    bounce: bytes = b""
    bounce_id: int = 0
    last: dict[int, bytes] = field(default_factory=dict)  # last report of each deferred recipient
    saved: bool = False  # whether state.<id> exists, or is on its way
    state_sequence: int = field(default=0, compare=False)  # of its state record in JOURNAL; 0: there is none
    bouncing: bool = False
    # Whether a worker has told this scheduler of a failure, since the message was read.
    failed: bool = field(default=False, compare=False)
    id: int = field(init=False)  # qmail's msg number

    def __post_init__(self) -> None:
        self.id = self.envelope.id

    @property
    def sequence(self) -> int:
        """Of its record in IN."""
        return self.position.sequence

    @property
    def birth(self) -> int:
        """When it was accepted, in seconds since the epoch."""
        return self.envelope.time_ms // 1000

    def channel(self, name: str) -> Channel:
        """The recipients of a channel; a channel of none where it had none."""
        found = self.channels.get(name)
        if found is None:
            found = self.channels[name] = Channel(set())
        return found

    def is_done(self) -> bool:
        """Whether no recipient is left to deliver to."""
        return not any(channel.undone for channel in self.channels.values())


def encode_state(message: QueuedMessage) -> bytes:
    """The record of a message that must be remembered."""
    return json.dumps(
        {
            "v": VERSION,
            "envelope": encode_envelope(message.envelope).decode("ascii"),
            "place": message.position.as_list(),
            "held": message.held,
            "undone": {name: sorted(c.undone) for name, c in message.channels.items()},
            "attempts": {name: c.attempts for name, c in message.channels.items()},
            "due": {name: c.due for name, c in message.channels.items()},
            "to": {str(n): a.raw.decode("latin-1") for n, a in message.addresses.items()},
            "last": _bounded({str(n): t.decode("latin-1") for n, t in message.last.items()}),
            "bounce": message.bounce.decode("latin-1"),
            "bounce_id": message.bounce_id,
        },
        separators=(",", ":"),
    ).encode("ascii")


def _bounded(last: dict[str, str]) -> dict[str, str]:
    """As many of the last reports as there is room for in the record."""
    if sum(map(len, last.values())) * _WORST <= MAX_LAST_BYTES:
        return last
    kept, room = {}, MAX_LAST_BYTES
    for number, text in last.items():
        room -= len(json.dumps(text)) + len(number) + 4
        if room < 0:
            break
        kept[number] = text
    return kept


def decode_state(record: bytes) -> QueuedMessage:
    """The message of a record. Raises EnvelopeError for anything else."""
    try:
        f = json.loads(record)
        if f["v"] != VERSION:
            raise EnvelopeError(f"state version {f['v']}; expected {VERSION}")
        channels = {
            name: Channel(set(undone), f["attempts"][name], f["due"][name]) for name, undone in f["undone"].items()
        }
        return QueuedMessage(
            envelope=decode_envelope(f["envelope"].encode("ascii")),
            position=RecordPosition(*f["place"]),
            held=f["held"],
            channels=channels,
            addresses={int(n): Address(a.encode("latin-1")) for n, a in f["to"].items()},
            bounce=f["bounce"].encode("latin-1"),
            bounce_id=f["bounce_id"],
            last={int(n): t.encode("latin-1") for n, t in f["last"].items()},
            saved=True,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError(f"not a state record: {error}") from error
