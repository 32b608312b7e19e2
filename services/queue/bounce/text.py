"""The bounce message, word for word as qmail-send writes it (qmail-send.c injectbounce, QSBMF)."""

from __future__ import annotations

from dataclasses import dataclass

from qmail.control.files import Control
from qmail.control.table import BOUNCEFROM, BOUNCEHOST, DOUBLEBOUNCEHOST, DOUBLEBOUNCETO
from qmail.message.address import DOUBLE_BOUNCE_SENDER, NULL_SENDER, Address, in_a_line
from qmail.message.dates import date822

_EIGHT_BIT = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=%s\nContent-Transfer-Encoding: 8bit\n"
# What programs and far hosts said is read at terminals.
_LEGIBLE = bytes(ord("?") if (c < 32 and c not in b"\t\n") or c == 127 else c for c in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceNames:
    """Who bounces come from and where double bounces go (bouncefrom, bouncehost, doublebounceto, -host).

    `exact`: programs and far hosts are quoted to the octet, as by qmail-send."""

    bounce_from: Address
    bounce_host: bytes
    double_bounce_to: Address
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Bounce:
    """A bounce to be put: its envelope, and its text up to the copy of the message."""

    sender: Address
    recipient: Address
    text: bytes


def read_names(control: Control) -> BounceNames:
    """The names of a deployment. Raises ControlError."""
    return BounceNames(
        bounce_from=Address.join(control.get(BOUNCEFROM), control.get(BOUNCEHOST)),
        bounce_host=control.get(BOUNCEHOST),
        exact=control.exact(),
        double_bounce_to=Address.join(control.get(DOUBLEBOUNCETO), control.get(DOUBLEBOUNCEHOST)),
    )


def make_bounce(
    sender: Address, report: bytes, names: BounceNames, now: float, charset: bytes | None = None
) -> Bounce | None:
    """The bounce of a message with that envelope sender; None for a double bounce that bounced: it is dropped.

    charset: of the report and the copy, where they are more than ASCII; the header says so then (RFC 2045)."""
    # First of all, as in injectbounce(): of VERP's empty form, `-@[]`, the null sender is left.
    sender = sender.without_verp()
    if sender == DOUBLE_BOUNCE_SENDER:
        return None
    double = not sender
    recipient = names.double_bounce_to if double else sender
    head = b"Date: %s\nFrom: %s\nTo: %s\nSubject: failure notice\n%s\n" % (
        date822(now),
        names.bounce_from.quoted(),
        in_a_line(recipient.quoted()),
        _EIGHT_BIT % charset if charset else b"",
    )
    greeting = b"Hi. This is the qmail-send program at " + names.bounce_host + b".\n"
    if double:
        greeting += b"I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
        below = b"--- Below this line is the original bounce.\n\n"
    else:
        greeting += (
            b"I'm afraid I wasn't able to deliver your message to the following addresses.\n"
            b"This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        )
        below = b"--- Below this line is a copy of the message.\n\n"
    said = report if names.exact else report.translate(_LEGIBLE)
    copy = b"Return-Path: <" + in_a_line(sender.quoted()) + b">\n"
    return Bounce(DOUBLE_BOUNCE_SENDER if double else NULL_SENDER, recipient, head + greeting + said + below + copy)
