"""What qmail-local is told about one delivery, and the lines and environment made of it. Pure.

See qmail-local(8), qmail-command(8).
"""

from __future__ import annotations

from qmail.message.address import Address, in_a_line
from qmail.message.dates import ctime
from qmail.message.value import value


@value(kw_only=True)
class Job:
    """The arguments of qmail-local, `local` and `domain` as one recipient."""

    user: bytes
    home: bytes
    recipient: Address
    dash: bytes
    ext: bytes
    sender: Address
    default_delivery: bytes  #: lines as in .qmail, for who has no .qmail or an empty one


def delivered_to_line(job: Job) -> bytes:
    """DTLINE; control characters inside the address become `_`."""
    return b"Delivered-To: " + in_a_line(job.recipient.raw) + b"\n"


def return_path_line(job: Job) -> bytes:
    """RPLINE, the sender quoted where needed."""
    return b"Return-Path: <" + in_a_line(job.sender.quoted()) + b">\n"


def from_line(job: Job, now: float) -> bytes:
    """UFLINE, the line that begins a message in an mbox (mbox(5)). now: seconds since 1970."""
    sender = in_a_line(job.sender.raw.translate(_BLANKS_TO_DASH)) if job.sender else b"MAILER-DAEMON"
    return b"From " + sender + b" " + ctime(now) + b"\n"


_BLANKS_TO_DASH = bytes.maketrans(b" \t\n", b"---")


def environment(job: Job, now: float, new_sender: Address, default: bytes | None) -> dict[bytes, bytes]:
    """The variables of a program delivery (qmail-command(8)).

    default: what matched `default` in the name of the .qmail file, None where the name has no such part.
    """
    host = job.recipient.domain or b""
    variables = {
        b"HOST": host,
        b"HOME": job.home,
        b"USER": job.user,
        b"LOCAL": job.recipient.local,
        b"RECIPIENT": job.recipient.raw,
        b"DTLINE": delivered_to_line(job),
        b"RPLINE": return_path_line(job),
        b"UFLINE": from_line(job, now),
        b"SENDER": job.sender.raw,
        b"NEWSENDER": new_sender.raw,
        b"EXT": job.ext,
    }
    if default is not None:
        variables[b"DEFAULT"] = default
    return variables | _extensions(job.ext) | _hosts(host)


def _extensions(ext: bytes) -> dict[bytes, bytes]:
    """EXT2, EXT3, EXT4: what follows the first, second, third dash."""
    found = {}
    for number in (2, 3, 4):
        ext = ext.partition(b"-")[2]
        found[b"EXT%d" % number] = ext
    return found


def _hosts(host: bytes) -> dict[bytes, bytes]:
    """HOST2, HOST3, HOST4: what precedes the last, second last, third last dot; else as before."""
    found = {}
    for number in (2, 3, 4):
        host = host.rpartition(b".")[0] if b"." in host else host
        found[b"HOST%d" % number] = host
    return found
