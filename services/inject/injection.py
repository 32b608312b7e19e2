"""One message made ready: fields rewritten, missing ones added, recipients gathered (qmail-inject(8))."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from qmail.message.address import NULL_SENDER, VERP_MARK, Address, is_plain
from qmail.message.dates import date822
from services.inject import replies
from services.inject.addresses import AddressTokens, rewrite, rewrite_list
from services.inject.fields import Body, Field, is_field, known_name, split_message
from services.inject.settings import Settings
from services.inject.tokens import Kind, ParseError, Token, parse_tokens, unparse_tokens, unquote_tokens

_DELETED_BY_LETTER = {b"from": "f", b"message-id": "i", b"return-path": "s"}
_NEVER_KEPT = frozenset({b"bcc", b"resent-bcc", b"return-path", b"content-length"})
_SENDERS = frozenset({b"sender", b"from", b"reply-to", b"return-receipt-to", b"errors-to"}) | {
    b"resent-sender",
    b"resent-from",
    b"resent-reply-to",
}
_RESENT = frozenset({b"resent-sender", b"resent-from", b"resent-reply-to", b"resent-to", b"resent-cc"}) | {
    b"resent-bcc",
    b"resent-date",
    b"resent-message-id",
}


class Sink(Protocol):
    """Where the finished message goes."""

    def open(self, sender: Address) -> None:
        """The header is complete; text follows."""

    def write(self, data: bytes) -> None:
        """A piece of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asked for: recipients given as arguments, -f's sender, whether fields count."""

    recipients: tuple[Address, ...]
    sender: Address | None
    from_header: bool


def rewrite_argument(text: bytes, settings: Settings) -> Address:
    """An address from the command line as an envelope address. Raises ParseError."""
    tokens = parse_tokens(Address(text).quoted())
    return _envelope_address(rewrite(tokens[::-1], settings.defaults))


def _envelope_address(tokens: AddressTokens) -> Address:
    """Without quotes and comments."""
    return Address(unquote_tokens(tokens[::-1]))


class Injection:
    """Takes one message and writes it, ready, to `sink`; afterwards `sender` and `recipients` are its envelope."""

    def __init__(self, settings: Settings, request: Request, sink: Sink) -> None:
        self.sender = request.sender
        self._settings = settings
        self._request = request
        self._sink = sink
        self._started = int(time.time())
        self._seen: set[bytes] = set()
        self._kept: list[bytes] = []
        self._visible: list[Address] = []  # To and Cc
        self._plain: list[Address] = []  # To, Cc, Bcc, Apparently-To
        self._resent: list[Address] = []
        self._takers: dict[bytes, Callable[[AddressTokens], AddressTokens]] = {
            **dict.fromkeys((b"to", b"cc"), self._take_visible),
            **dict.fromkeys((b"bcc", b"apparently-to"), self._take_plain),
            **dict.fromkeys((b"resent-to", b"resent-cc", b"resent-bcc"), self._take_resent),
            **dict.fromkeys(_SENDERS, self._rewritten),
            b"return-path": self._take_return,
        }

    @property
    def recipients(self) -> list[Address]:
        """Everyone the message goes to: arguments first, then fields, each field from right to left."""
        found = list(self._request.recipients)
        if self._request.from_header:
            found += self._resent if self._seen & _RESENT else self._plain
        return found

    def read(self, lines: Iterable[bytes]) -> None:
        """Take the whole message. Raises Fatal, OSError."""
        for part in split_message(lines):
            if isinstance(part, Field):
                self._field(part.line)
            elif isinstance(part, Body):
                self._sink.write(part.line)
            else:
                self._end_of_header()

    def _field(self, line: bytes) -> None:
        name = known_name(line)
        letter = _DELETED_BY_LETTER.get(name)
        if letter is not None and self._settings.has(letter):
            return
        if name:
            self._seen.add(name)
        elif not is_field(line):
            replies.invalid_field(line)
        take = self._takers.get(name)
        if take is not None:
            line = self._rewrite_line(line, take)
        if name not in _NEVER_KEPT:
            self._kept.append(line)

    @staticmethod
    def _rewrite_line(line: bytes, take: Callable[[AddressTokens], AddressTokens]) -> bytes:
        try:
            return unparse_tokens(rewrite_list(parse_tokens(line), take))
        except ParseError:
            replies.unparsable_line(line)

    def _rewritten(self, address: AddressTokens) -> AddressTokens:
        return rewrite(address, self._settings.defaults)

    def _take_visible(self, address: AddressTokens) -> AddressTokens:
        address = self._take_plain(address)
        self._visible.append(_envelope_address(address))
        return address

    def _take_plain(self, address: AddressTokens) -> AddressTokens:
        address = self._rewritten(address)
        self._plain.append(_envelope_address(address))
        return address

    def _take_resent(self, address: AddressTokens) -> AddressTokens:
        address = self._rewritten(address)
        self._resent.append(_envelope_address(address))
        return address

    def _take_return(self, address: AddressTokens) -> AddressTokens:
        address = self._rewritten(address)
        if self.sender is None:
            verp = VERP_MARK if self._settings.has("r") else b""
            self.sender = Address(_envelope_address(address).raw + verp)
        return address

    def _end_of_header(self) -> None:
        if self.sender is None:
            self._rewrite_line(self._default_return_path(), self._take_return)
        # No sender could be made of an empty list: as empty as qmail-inject's.
        self._sink.open(self.sender or NULL_SENDER)
        resent = b"Resent-" if self._seen & _RESENT else b""
        self._new_fields(resent)
        if not resent:
            self._mail_followup_to()
        for line in self._kept:
            self._sink.write(line)

    def _new_fields(self, resent: bytes) -> None:
        def lacks(name: bytes) -> bool:
            return resent.lower() + name not in self._seen

        write = self._sink.write
        if lacks(b"date"):
            write(resent + b"Date: " + date822(self._started) + b"\n")
        if lacks(b"message-id"):
            write(resent + self._message_id())
        if lacks(b"from"):
            write(resent + self._default_from())
        if lacks(b"to") and lacks(b"cc"):
            write(resent + b"Cc: recipient list not shown: ;\n")

    def _message_id(self) -> bytes:
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self._started)).encode()
        return b"Message-ID: <%s.%d.qmail@%s>\n" % (stamp, os.getpid(), self._settings.id_host)

    def _default_from(self) -> bytes:
        settings = self._settings
        plain = is_plain(settings.user)
        mailbox = [Token(Kind.ATOM if plain else Kind.QUOTE, settings.user)]
        if settings.host is not None:
            mailbox += [_AT, Token(Kind.ATOM, settings.host)]
        if settings.name is not None and settings.has("c"):
            mailbox = [*mailbox, Token(Kind.COMMENT, settings.name)]
        elif settings.name is not None:
            mailbox = [Token(Kind.QUOTE, settings.name), _LEFT, *mailbox, _RIGHT]
        line = unparse_tokens([Token(Kind.ATOM, b"From"), _COLON, *mailbox])
        return self._rewrite_line(line, self._rewritten)

    def _default_return_path(self) -> bytes:
        settings = self._settings
        user = settings.return_user
        if settings.has("m"):
            user += b"-%d.%d" % (self._started, os.getpid())
        if settings.has("r"):
            user += b"-"
        tokens = [Token(Kind.ATOM, b"Return-Path"), _COLON, Token(Kind.QUOTE, user)]
        if settings.return_host is not None:
            tokens += [_AT, Token(Kind.ATOM, settings.return_host)]
        return unparse_tokens(tokens)

    def _mail_followup_to(self) -> None:
        lists = self._settings.followup
        if lists is None or b"mail-followup-to" in self._seen:
            return
        if not any(address.raw.lower() in lists for address in self._visible):
            return
        shown = (address.to_nul().quoted() for address in reversed(self._visible))
        self._sink.write(b"Mail-Followup-To: " + b",\n  ".join(shown) + b"\n")


_AT = Token(Kind.AT, b"@")
_LEFT = Token(Kind.LEFT, b"<")
_RIGHT = Token(Kind.RIGHT, b">")
_COLON = Token(Kind.COLON, b":")
