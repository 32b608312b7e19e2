"""DATA, as steps of the dialogue: the text is gathered, or handed on in parts where it is large. Pure."""

from __future__ import annotations

from qmail.message.dates import date822
from services.smtpd import replies
from services.smtpd.data import MAX_HOPS, DataReader, Verdict
from services.smtpd.envelope import EnvelopeSteps
from services.smtpd.facts import Commit, Drop, Hooked, Mail, Store
from services.smtpd.received import protocol_name, render_received_head
from services.smtpd.states import DATA

# Beyond this a message is no longer gathered but handed on in parts.
GATHER_BYTES = 512 * 1024
PART_BYTES = 128 * 1024

_MORE, _END_OF_DATA = Verdict.MORE, Verdict.END


class TextSteps(EnvelopeSteps):
    """The message itself."""

    def _data(self, argument: bytes) -> None:
        self._reader = DataReader(self._limit)
        self._bad_commands = 0
        self._state = DATA
        self._reply(replies.GO_AHEAD)

    def _read_data(self) -> None:
        reader = self._reader
        assert reader is not None
        data, self._buffer = self._buffer, b""
        verdict, text = reader.take(data)
        if text:
            self._parts.append(text)
            self._parts_bytes += len(text)
        if verdict is _MORE:
            self._hand_on(reader)
        elif verdict is _END_OF_DATA:
            self._buffer = reader.rest
            self._complete(reader)
        else:
            self._end(replies.STRAY_NEWLINE)

    def _hand_on(self, reader: DataReader) -> None:
        """Large messages leave in parts. A message already refused is only read to its end."""
        if reader.too_big or self._late_refusal is not None:
            self._parts.clear()
            self._parts_bytes = 0
            if self._streaming:
                self._streaming = False
                self._ask(Drop(), _nothing, _nothing)
            return
        if "DATA" in self._hooks or self._parts_bytes <= (PART_BYTES if self._streaming else GATHER_BYTES):
            return
        self._streaming = True
        self._ask(Store(self._take_parts()), _nothing, self._not_stored)

    def _take_parts(self) -> bytes:
        text = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._parts_bytes = 0
        return text

    def _not_stored(self, error: BaseException) -> None:
        """Whoever cannot keep a part cannot keep the message. The client hears it at its end mark, as it expects."""
        self._streaming = False
        self._late_refusal = self._failure(error)

    def _complete(self, reader: DataReader) -> None:
        refusal = self._late_refusal
        if reader.hops >= MAX_HOPS:
            refusal = replies.TOO_MANY_HOPS
        elif reader.too_big:
            refusal = replies.TOO_BIG
        if refusal is None:
            self._commit()
        elif self._streaming:
            self._drop(refusal)
        else:
            self._finish_mail(refusal)

    def _drop(self, text: bytes) -> None:
        self._ask(Drop(), lambda _: self._finish_mail(text), lambda _: self._finish_mail(text))

    def _commit(self) -> None:
        body = self._take_parts()
        if "DATA" not in self._hooks:
            self._put(body)
            return

        def decided(hooked: Hooked) -> None:
            if hooked.refused:
                self._finish_mail(hooked.status or replies.LOCAL_ERROR)
            else:
                self._put(body)

        self._hooked("DATA", body, (), decided)

    def _put(self, body: bytes) -> None:
        self._ask(Commit(self._make_mail(), body), self._stored, self._not_committed)

    def _make_mail(self) -> Mail:
        head = self._received_head
        if head is None:
            head = self._received_head = self._make_received_head()
        return Mail(
            sender=self._sender,
            recipients=tuple(self._recipients),
            helo=self._helo or b"",
            account=self.account,
            prefix=head + date822(self._now()) + b"\n",
            body_type=self._body_type,
            smtputf8=self._smtputf8,
        )

    def _make_received_head(self) -> bytes:
        protocol = protocol_name(
            extended=self.policy.extensions and self._extended, tls=self.client.tls, authenticated=bool(self.account)
        )
        fake = self._helo is not None and self._helo.lower() != self.client.remote_host.lower()
        return render_received_head(self.client, self._helo if fake else None, protocol)

    def _stored(self, id: object) -> None:
        assert isinstance(id, int)
        self.accomplished += 1
        self._finish_mail(replies.accepted(int(self._now()), id))

    def _not_committed(self, error: BaseException) -> None:
        self._finish_mail(self._failure(error))

    def _finish_mail(self, text: bytes) -> None:
        self._reply(text)
        self._forget_mail()


def _nothing(_: object) -> None:
    return None
