"""Every subject and stream of the bus, in one place (docs/formats.md describes what each record holds).

Subjects hold numbers only: an address never stands in one (nats.md section 10).
"""

from __future__ import annotations

# Streams and what they hold.
IN = "IN"  # in.<id>: accepted messages, a log; write-once
BODY = "BODY"  # body.<id>.<n>: chunks of large bodies; envelope.<id>: envelopes too large for a header
HOLD = "HOLD"  # hold.<id>: what is deferred, so that IN's floor can pass
# state.<id>, done.<epoch>-<n>: the last record of a subject counts; purged by sequence alone (decision 0008)
JOURNAL = "JOURNAL"
CLAIMS = "CLAIMS"  # lease, node.<n>, paused: overwritten for ever, never deleted
LOGINS = "LOGINS"  # known.<digest>: from which networks accounts log in; for 30 days
EVENTS = "EVENTS"  # event.>: log lines and explanations, never the truth

# The consumer of the scheduler on IN and JOURNAL; that of the role log on EVENTS.
QUEUE_CONSUMER = "queue"
# IN's other reader: what was there before the scheduler began.
OLD_CONSUMER = "old"
LOG_CONSUMER = "log"

LEASE = "lease"
PAUSED = "paused"  # whether an administrator has stopped deliveries (qmailctl pause)

# Header of a record of IN or HOLD: the envelope as base64, or ELSEWHERE when it lies in envelope.<id>.
ENVELOPE_HEADER = "Qmail-Envelope"
ELSEWHERE = "@"


def accepted(message_id: int) -> str:
    """The record that commits a message."""
    return f"in.{message_id}"


def body(message_id: int, number: int) -> str:
    """One chunk of a large body, numbered from 0."""
    return f"body.{message_id}.{number}"


def whole_body(message_id: int) -> str:
    """Every chunk of a body: a pattern."""
    return f"body.{message_id}.*"


def large_envelope(message_id: int) -> str:
    """An envelope that does not fit into a header."""
    return f"envelope.{message_id}"


# Patterns: the first chunk of every large body, every large envelope, every copy.
FIRST_CHUNKS = "body.*.0"
LARGE_ENVELOPES = "envelope.*"
EVERY_HOLD = "hold.*"


def hold(message_id: int) -> str:
    """The copy of a message that waits."""
    return f"hold.{message_id}"


def state(message_id: int) -> str:
    """What the scheduler must remember of a message."""
    return f"state.{message_id}"


def done(epoch: int, number: int) -> str:
    """A group of ended recipients, numbered by the scheduler of that epoch."""
    return f"done.{epoch}-{number}"


def node(number: int) -> str:
    """The claim on a node number for message numbers (qmail.message.ids)."""
    return f"node.{number}"


def known(digest: str) -> str:
    """An account's log-in from a network; the digest tells neither."""
    return f"known.{digest}"


def id_of(subject: str) -> int:
    """The message number in a subject of IN, HOLD, JOURNAL or BODY."""
    return int(subject.split(".", 2)[1])
