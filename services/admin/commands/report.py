"""What qmailctl prints about the queue and the roles: qmail-qstat's, qmail-qread's and svstat's lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from qmail.message.printable import printable
from services.admin.commands.bus_monitor import Stream
from services.admin.commands.presences import Presences

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


def render_roles(roles: Iterable[str], presences: Presences) -> str:
    """svstat(8)'s lines: up is how long the process has run; each of several processes has its own line."""
    return "".join(line for role in roles for line in _role_lines(role, presences))


def _role_lines(role: str, presences: Presences) -> list[str]:
    processes = [each for each in presences.present if each.role == role]
    silent = presences.silent.get(role, 0)
    if len(processes) + silent > 1:
        lines = [f"{role}: up {render_age(p.seconds)}, process {p.pid} of {printable(p.host)}\n" for p in processes]
    else:
        lines = [f"{role}: up {render_age(p.seconds)}\n" for p in processes]
    lines += [f"{role}: connected, and does not answer\n"] * silent
    return lines or [f"{role}: down\n"]


def render_age(seconds: float) -> str:
    """As the bus writes its own: 3m2s, 1d4h0m7s."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    parts = [(day, "d"), (hour, "h"), (minute, "m"), (second, "s")]
    first = next((number for number, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "".join(f"{count}{unit}" for count, unit in parts[first:])


def render_standing(presences: Presences) -> str:
    """What is wrong and was not mended, of every process; the eldest first."""
    found = sorted((standing.since, each, standing.text) for each in presences.present for standing in each.standing)
    return "".join(
        f"{each.role}: alert since {_date(int(since))} GMT: {printable(text)}\n" for since, each, text in found
    )


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
