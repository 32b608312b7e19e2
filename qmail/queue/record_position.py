"""Where a message lies in IN: small messages that were accepted together share a record, one fsync for all.

The record `in.<first message's number>` has their envelopes in its header, separated by commas, and their bodies
one after another as its payload.

Why: docs/decisions/0004-messages-share-a-record.md.
"""

from __future__ import annotations

import base64

from qmail.bus import subjects
from qmail.bus.ports import Stored
from qmail.message.envelope import Envelope, EnvelopeError, decode_envelope
from qmail.queue.deliveries import RecordPosition

SEPARATOR = ","


def read_positions(stored: Stored) -> list[tuple[Envelope | None, RecordPosition]]:
    """The messages of a record of IN, by its header alone; None: the envelope lies in a record of its own.

    Raises EnvelopeError where the header cannot be understood."""
    try:
        record = subjects.id_of(stored.subject)
    except ValueError as error:
        raise EnvelopeError(f"{stored.subject}: expected in.<number>") from error
    found: list[tuple[Envelope | None, RecordPosition]] = []
    offset = 0
    for index, text in enumerate(stored.headers.get(subjects.ENVELOPE_HEADER, "").split(SEPARATOR)):
        envelope = decode_header(text)
        found.append((envelope, RecordPosition(stored.sequence, record, index, offset)))
        if envelope is not None and not envelope.chunk_count:
            offset += envelope.size_bytes
    return found


def header_of(stored: Stored, index: int) -> str:
    """One message's part of the header. Raises EnvelopeError."""
    try:
        return stored.headers[subjects.ENVELOPE_HEADER].split(SEPARATOR)[index]
    except (KeyError, IndexError) as error:
        raise EnvelopeError(f"{stored.subject}: no envelope number {index}") from error


def decode_header(text: str) -> Envelope | None:
    """The envelope in a message's part of the header; None where it lies elsewhere. Raises EnvelopeError."""
    if text == subjects.ELSEWHERE:
        return None
    try:
        return decode_envelope(base64.b64decode(text))
    except ValueError as error:
        raise EnvelopeError(f"not an envelope: {error}") from error
