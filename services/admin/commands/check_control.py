"""What is wrong, or only strange, with the control files of a deployment, one by one and together."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from qmail.control.bad_addresses import render_outside
from qmail.control.files import Control, ControlError
from qmail.control.kinds import Line, Number, meant_lines
from qmail.control.names import SECRETS, unread_in
from qmail.control.table import (
    BADRCPTTO,
    DATABYTES,
    LOCALS,
    ME,
    MORERCPTHOSTS,
    RCPTHOSTS,
    TABLE,
    TCP_SMTP,
    VIRTUALDOMAINS,
)

_READABLE_BY_ROLES = stat.S_IROTH


def control_faults(control: Control, *, per_user: bool) -> list[str]:
    """What no role would take, file by file; per_user: roles have uids of their own, and must be able to read. tcp.smtp
    is looked at by services.admin.commands.rules_check."""
    faults = control.faults(file for file in TABLE if file is not TCP_SMTP)
    faults += [_secret(path) for path in sorted(control.directory.iterdir()) if path.name in SECRETS]
    return faults + (list(_unreadable(control)) if per_user else [])


def _secret(path: Path) -> str:
    return f"{path}: users' programs can read the password in it; expected it in auth/, which auth alone can read"


def _unreadable(control: Control) -> Iterator[str]:
    for file in TABLE:
        path = control.directory / file.name
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # missing, or told already
        if not mode & _READABLE_BY_ROLES:
            yield f"{path}: mode {stat.S_IMODE(mode):04o}; expected a file that every role can read, as 0644"


def control_notes(control: Control) -> list[str]:
    """What is taken as it is, and may not be meant. Raises OSError."""
    notes = list(unread_in(control.directory).values())
    notes += _not_read(control)
    try:
        notes += _together(control)
    except ControlError:
        pass  # a fault, and told as one
    return notes


def _not_read(control: Control) -> Iterator[str]:
    """Lines behind the first of files of one line."""
    for file in TABLE:
        if not isinstance(file.kind, Line | Number):
            continue
        try:
            content = (control.directory / file.name).read_bytes()
        except OSError:
            continue
        more = [number for number, _ in meant_lines(content) if number > 1]
        if more:
            yield f"control/{file.name}:{more[0]}: only the first line is read"


def _together(control: Control) -> Iterator[str]:
    me, names = control.get(ME), control.get(LOCALS)
    own, virtual, rcpthosts = names or frozenset({me.lower()}), control.get(VIRTUALDOMAINS), control.get(RCPTHOSTS)
    if names is not None and me.lower() not in names:
        yield f"control/locals: without {_text(me)} (control/me): mail to it is sent to other hosts, and comes back"
    for domain in sorted(own & virtual.keys()):
        yield f"control/virtualdomains: {_text(domain)} is in control/locals, too, which comes first"
    if rcpthosts is None:
        yield "control/rcpthosts: missing; strangers may send to locals and virtualdomains alone"
        if os.path.lexists(control.directory / MORERCPTHOSTS.name):
            yield "control/morercpthosts: no effect without control/rcpthosts"
    else:
        hosts = _hosts(control)
        refused = sorted(domain for domain in _domains(own, virtual) if not _is_in(domain, hosts))
        yield from (f"control/rcpthosts: without {_text(domain)}: strangers cannot send to it" for domain in refused)
    if senders := render_outside(control.get(BADRCPTTO).outside(own | virtual.keys() | _hosts(control))):
        yield senders
    if control.own(DATABYTES) is None:
        yield "control/databytes: missing; messages of any size are taken"


def _hosts(control: Control) -> frozenset[bytes]:
    return (control.get(RCPTHOSTS) or frozenset()) | control.get(MORERCPTHOSTS)


def _domains(own: frozenset[bytes], virtual: dict[bytes, bytes]) -> frozenset[bytes]:
    """Whole domains that are ours; of `.domain` and addresses in virtualdomains nothing follows."""
    return own | {key for key, prefix in virtual.items() if prefix and key and b"@" not in key and key[:1] != b"."}


def _is_in(domain: bytes, hosts: frozenset[bytes]) -> bool:
    dots = (at for at in range(1, len(domain)) if domain[at : at + 1] == b".")
    return domain in hosts or any(domain[at:] in hosts for at in dots)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
