"""`qmailctl cdb`: smtpd reads tcp.smtp as text at each change; what is left of tcprules is the check."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from qmail.rules import NoRule, RuleError, parse_rules, refuse_relaying_for

DEFAULT_SUBNET = "172.29.25"


def smtpd_networks(environ: Mapping[str, str]) -> list[ipaddress.IPv4Network]:
    """The networks of smtpd's container, edge and bus, as compose.yaml makes them from SUBNET. Raises ValueError."""
    subnet = environ.get("SUBNET") or DEFAULT_SUBNET
    return [ipaddress.IPv4Network(f"{subnet}.{first}/26") for first in (0, 64)]


def first_fault(path: Path, networks: list[ipaddress.IPv4Network]) -> str | None:
    """What smtpd would refuse in this file, in tcprules' words where it would too; None if nothing. Raises OSError."""
    content = path.read_bytes()
    try:
        refuse_relaying_for(parse_rules(content), networks)
    except NoRule as error:
        line = content.decode("latin-1").split("\n")[error.line - 1]
        return f"tcprules: fatal: unable to parse this line: {line}\nqmailctl: {path}: {error}"
    except RuleError as error:
        return f"qmailctl: {path}: {error}"
    return None
