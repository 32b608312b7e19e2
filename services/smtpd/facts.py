"""What the dialogue tells the server and what it is told: immutable values, no behaviour beyond reading them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from qmail.message.address import Address
from qmail.message.envelope import Draft
from qmail.message.value import value

_DIGITS = re.compile(rb"\d*")


@value(kw_only=True)
class Client:
    """Who is connected, in the terms of tcp-environ(5), and what the rules grant.

    `relay` is RELAYCLIENT (None: not set), `databytes` DATABYTES in bytes (None: not set)."""

    remote_ip: bytes = b"unknown"
    remote_host: bytes = b"unknown"
    remote_info: bytes | None = None
    local: bytes = b"unknown"
    relay: bytes | None = None
    databytes: int | None = None
    tls: bool = False
    tls_offered: bool = False
    auth_offered: bool = False
    auth_required: bool = False
    #: Its name could not be found out now, and a rule for it may grant what it is not granted.
    doubtful: bool = False


def read_client(environ: Mapping[str, bytes]) -> Client:
    """The client that these variables describe, as qmail-smtpd's setup reads them; tls and auth are not among them."""
    databytes = environ.get("DATABYTES")
    return Client(
        remote_ip=environ.get("TCPREMOTEIP", b"unknown"),
        remote_host=environ.get("TCPREMOTEHOST", b"unknown"),
        remote_info=environ.get("TCPREMOTEINFO"),
        local=environ.get("TCPLOCALHOST", environ.get("TCPLOCALIP", b"unknown")),
        relay=environ.get("RELAYCLIENT"),
        databytes=None if databytes is None else _number(databytes),
    )


def _number(text: bytes) -> int:
    match = _DIGITS.match(text)
    # More digits are as good as no limit, and int() refuses thousands of them.
    return int(match[0][:18]) if match and match[0] else 0


@value()
class LookUpHost:
    """What is the client's name? Answer: RemoteHost."""


@value()
class Ready:
    """May a message be put now? Answer: anything; failure: QueueFull, BusDown."""


@value()
class AskRecipient:
    """Does this local recipient exist? Answer: Exists."""

    address: Address


@value()
class Login:
    """Is this password right? Answer: the account's name, or None."""

    mechanism: str
    user: bytes
    password: bytes


@value()
class Store:
    """Keep this part of a large message. Answer: anything."""

    chunk: bytes


@value()
class Commit:
    """The message is complete; `chunk` is its last part, or all. Answer: its id, once it is on stable storage."""

    draft: Draft
    chunk: bytes


@value()
class Drop:
    """Forget the parts kept so far. Answer: anything."""


@value()
class Hook:
    """Ask a plug-in (aiosmtpd's handle_VERB). Answer: Hooked.

    `argument`: the address, the name after HELO or EHLO, the body of DATA; `options`: parameters, or EHLO's lines."""

    verb: str
    argument: bytes
    options: tuple[bytes, ...] = ()
    sender: bytes = b""
    recipients: tuple[bytes, ...] = ()


@value()
class Hooked:
    """A plug-in's answer. `status` None: as if there were no plug-in; `addresses`: what it wants instead."""

    status: bytes | None
    addresses: tuple[Address, ...]

    @property
    def refused(self) -> bool:
        return self.status is not None and self.status[:1] != b"2"


Request: TypeAlias = LookUpHost | Ready | AskRecipient | Login | Store | Commit | Drop | Hook
