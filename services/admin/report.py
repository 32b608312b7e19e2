"""What qmailctl prints about the queue and the roles: qmail-qstat's, qmail-qread's and svstat's lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from qmail.printable import printable
from services.admin.figures import Stream

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def render_qstat(status: Mapping[str, Any]) -> str:
    """qmail-qstat(8). There is no separate preprocessing: what is accepted is in the queue."""
    unread = status["unread"]
    total = status["messages"] + unread
    return f"messages in queue: {total}\nmessages in queue but not yet preprocessed: {unread}\n"


def render_qread(messages: Iterable[Mapping[str, Any]]) -> str:
    """qmail-qread(8): a line a message, a line a recipient, `done` where it needs no more."""
    return "".join(_render_message(message) for message in messages)


def _render_message(message: Mapping[str, Any]) -> str:
    bouncing = " bouncing" if message["bouncing"] else ""
    facts = f"{_date(message['accepted'])} GMT  #{message['id']}  {message['bytes']}"
    head = f"{facts}  <{printable(message['sender'])}> {bouncing}\n"
    return head + "".join(_render_recipient(recipient) for recipient in message["recipients"])


def _render_recipient(recipient: Mapping[str, Any]) -> str:
    done = "  done" if recipient["done"] else ""
    return f"{done}\t{recipient['channel']}\t{printable(recipient['address'])}\n"


def _date(epoch_seconds: int) -> str:
    when = datetime.fromtimestamp(epoch_seconds, UTC)
    return f"{when.day} {_MONTHS[when.month - 1]} {when:%Y %H:%M:%S}"


def render_roles(roles: Iterable[str], uptimes: Mapping[str, str]) -> str:
    """svstat(8)'s lines: a role is up while it is connected to the bus."""
    lines = (f"{role}: up {uptimes[role]}\n" if role in uptimes else f"{role}: down\n" for role in roles)
    return "".join(lines)


def uptimes_of(connections: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Role -> how long its eldest connection has stood, from the bus's list of connections."""
    found: dict[str, str] = {}
    for connection in sorted(connections, key=lambda each: str(each.get("start", ""))):
        found.setdefault(str(connection.get("authorized_user", "")), str(connection.get("uptime", "")))
    return found


def render_streams(streams: Iterable[Stream]) -> str:
    """What each stream of the bus holds, and how much of its share of control/queuebytes it has taken."""
    return f"bus: {', '.join(map(_render_stream, streams))}\n"


def _render_stream(stream: Stream) -> str:
    taken = f" {100 * stream.bytes // stream.max_bytes}%" if stream.max_bytes > 0 else ""
    return f"{stream.name} {stream.records} records{taken}"


def render_address(address: str, left_behind: Iterable[str]) -> str:
    """What follows from ADDRESS: log-in without TLS, and the files that did not follow it."""
    loopback = "ADDRESS is a loopback address: log-in without TLS is allowed to clients on this machine\n"
    files = " ".join(left_behind)
    edited = f"ADDRESS is {address}; files that were edited, and still say another: {files}\n" if files else ""
    return (loopback if address.startswith("127.") else "") + edited
