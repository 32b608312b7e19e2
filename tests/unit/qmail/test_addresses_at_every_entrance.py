"""What one entrance takes as an address, the others take: SMTP, an argument, a header field, the queue's socket."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.control.files import Control
from qmail.message.address import Address
from qmail.queue.socket.wire import parse_envelope
from services.inject.injection import Injection, Request, rewrite_argument
from services.inject.settings import read_settings
from services.smtpd.grammar import is_mailbox, parse_path

with TemporaryDirectory() as _directory:
    (Path(_directory) / "me").write_text("mail.xeris.com\n")
    SETTINGS = read_settings({b"USER": b"ari"}, Control(Path(_directory)))

ADDRESSES = {
    "plain": b"ari@xeris.com",
    "capitals": b"Ari@XERIS.Com",
    "extension": b"ari-list-joni=far.test@xeris.com",
    "a plus": b"ari+x@xeris.com",
    "blanks": b"ari suryo@xeris.com",
    "quotes and backslashes": b'a"r\\i@xeris.com',
    "an at sign": b"a@b@xeris.com",
    "brackets": b"<ari>(x):;,@xeris.com",
    "dots": b"..ari.@xeris.com",
    "UTF-8": "\u00e4ri@xeris.com".encode(),
    "8-bit": b"\xe4\xff@xeris.com",
    "a literal": b"ari@[192.0.2.1]",
}


class Nothing:
    """Takes the message away."""

    def open(self, sender: Address) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass


def by_smtp(address: bytes) -> bytes:
    found, rest = parse_path(b"TO:<" + Address(address).quoted() + b">")
    assert not rest and is_mailbox(found)
    return found.raw


def by_header(address: bytes) -> bytes:
    injection = Injection(SETTINGS, Request(recipients=(), sender=Address(b""), from_header=True), Nothing())
    injection.read([b"To: " + Address(address).quoted() + b"\n", b"\n"])
    [found] = injection.recipients
    return found.raw


def by_socket(address: bytes) -> bytes:
    [found] = parse_envelope(b"F\0T" + address + b"\0\0")[1]
    return found.raw


WAYS = {
    "RCPT": by_smtp,
    "an argument": lambda address: rewrite_argument(address, SETTINGS).raw,
    "To": by_header,
    "the socket": by_socket,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ADDRESSES)
def test_every_entrance_takes_the_same_addresses(way: str, kind: str) -> None:
    assert WAYS[way](ADDRESSES[kind]) == ADDRESSES[kind]


_LOCAL = st.binary(min_size=1, max_size=40).filter(lambda text: not Address(text).has_controls())


@given(_LOCAL)
def test_whatever_the_local_part_is(local: bytes) -> None:
    address = local + b"@xeris.com"
    assert {name: way(address) for name, way in WAYS.items()} == dict.fromkeys(WAYS, address)
