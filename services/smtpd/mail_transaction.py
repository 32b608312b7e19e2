"""One mail transaction (RFC 5321 3.3): who it is from, to whom, and its text. Pure."""

from __future__ import annotations

from qmail.message.address import NULL_SENDER, Address
from qmail.message.envelope import NO_PARAMETERS, MailParameters, Recipient
from services.smtpd import replies
from services.smtpd.data import MAX_HOPS, DataReader, Verdict

# Beyond this a message is no longer gathered but handed on in parts.
GATHER_BYTES = 512 * 1024
PART_BYTES = 128 * 1024


class MailTransaction:
    """What MAIL, RCPT and DATA have brought so far."""

    __slots__ = ("bad_sender_entry", "envelope_bytes", "parameters", "recipients", "sender", "text")

    def __init__(
        self,
        sender: Address = NULL_SENDER,
        parameters: MailParameters = NO_PARAMETERS,
        *,
        bad_sender_entry: bytes | None = None,
    ) -> None:
        self.sender = sender
        #: Of badmailfrom.
        self.bad_sender_entry = bad_sender_entry
        self.parameters = parameters
        self.recipients: list[Recipient] = []
        #: What the recipients take in the envelope, those included that were refused after they were counted.
        self.envelope_bytes = 0
        self.text: MailText | None = None


class MailText:
    """The text of a message: gathered, or handed on in parts where it is large."""

    __slots__ = ("_parts", "_parts_bytes", "_reader", "_unstored", "streaming")

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes`: databytes, 0 for none."""
        self._reader = DataReader(limit_bytes)
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._unstored: bytes | None = None
        #: Whether parts have been handed on.
        self.streaming = False

    def take(self, chunk: bytes) -> Verdict:
        """Read a chunk of the client's bytes, cut anywhere."""
        verdict, text = self._reader.take(chunk)
        if text:
            self._parts.append(text)
            self._parts_bytes += len(text)
        return verdict

    @property
    def rest(self) -> bytes:
        """What came behind the end mark."""
        return self._reader.rest

    @property
    def gathered_bytes(self) -> int:
        """What is kept here."""
        return self._parts_bytes

    @property
    def part_is_due(self) -> bool:
        """Whether so much was gathered that a part must go."""
        return self._parts_bytes > (PART_BYTES if self.streaming else GATHER_BYTES)

    @property
    def is_lost(self) -> bool:
        """Whether the message is refused whatever follows, and is only read to its end."""
        return self._unstored is not None or self._reader.too_big

    @property
    def refusal(self) -> bytes | None:
        """The reply to a text that is not taken."""
        if self._reader.hops >= MAX_HOPS:
            return replies.TOO_MANY_HOPS
        return replies.TOO_BIG if self._reader.too_big else self._unstored

    def take_parts(self) -> bytes:
        """What was gathered; it is not kept here any longer."""
        text = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._parts_bytes = 0
        return text

    def not_stored(self, reply: bytes) -> None:
        """A part cannot be kept, so the message cannot. The client hears it at its end mark, as it expects."""
        self.streaming = False
        self._unstored = reply
