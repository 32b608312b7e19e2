"""`qmailctl cdb`: smtpd reads tcp.smtp as text at each change; what is left of tcprules is the check."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from qmail.control.rules import NoRule, Rule, RuleError, parse_rules, refuse_relaying_for

DEFAULT_SUBNET = "172.29.25"
# The variables that smtpd obeys (tcp-environ(5), qmail-smtpd(8)).
USED = frozenset(
    {"DATABYTES", "RELAYCLIENT", "TCPLOCALHOST", "TCPLOCALIP", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPREMOTEIP"}
)


def smtpd_networks(environ: Mapping[str, str]) -> list[ipaddress.IPv4Network]:
    """The networks of smtpd's container, edge and bus, as compose.yaml makes them from SUBNET. Raises ValueError."""
    subnet = environ.get("SUBNET") or DEFAULT_SUBNET
    return [ipaddress.IPv4Network(f"{subnet}.{first}/26") for first in (0, 64)]


def first_fault(path: Path, networks: list[ipaddress.IPv4Network]) -> str | None:
    """What smtpd would refuse in this file, in tcprules' words where it would too; None if nothing. Raises OSError."""
    content = path.read_bytes()
    error = _refusal(content, networks)
    if error is None:
        return None
    if not isinstance(error, NoRule):
        return f"qmailctl: {path}: {error}"
    line = content.decode("latin-1").split("\n")[error.line - 1]
    return f"tcprules: fatal: unable to parse this line: {line}\nqmailctl: {path}: {error}"


def smtpd_fault(content: bytes, networks: list[ipaddress.IPv4Network]) -> str | None:
    """The same in our words alone, from the line's number on."""
    error = _refusal(content, networks)
    return None if error is None else str(error)


def _refusal(content: bytes, networks: list[ipaddress.IPv4Network]) -> RuleError | None:
    try:
        refuse_relaying_for(parse_rules(content), networks)
    except RuleError as error:
        return error
    return None


def open_relay(content: bytes) -> str | None:
    """The rule that lets everybody relay: nobody means that."""
    try:
        everybody = parse_rules(content).by_address.get("")
    except RuleError:
        return None
    if everybody is None or not everybody.allow or "RELAYCLIENT" not in everybody.variables:
        return None
    return f"line {everybody.line}: RELAYCLIENT for everybody: an open relay; expected addresses before the colon"


def traps(content: bytes) -> Iterator[str]:
    """What smtpd takes in these rules and their author can hardly mean. Nothing for a file that is refused anyway."""
    try:
        rules = parse_rules(content)
    except RuleError:
        return
    for address, rule in rules.by_address.items():
        yield from (f"line {rule.line}: {text}" for text in _traps_of(address, rule))
    yield from _second_rules(content)


def _traps_of(address: str, rule: Rule) -> Iterator[str]:
    relay = rule.variables.get("RELAYCLIENT")
    if relay and not relay.startswith(b"@"):
        yield f'RELAYCLIENT="{_shown(relay)}" is added to each recipient; expected RELAYCLIENT=""'
    size = rule.variables.get("DATABYTES")
    if size is not None and not size.isdigit():
        yield f'DATABYTES="{_shown(size)}" is {_leading_number(size)} bytes; expected a number'
    for name in sorted(rule.variables.keys() - USED):
        yield f"{name} is used by nothing here; expected some of {', '.join(sorted(USED))}"
    if address == "=" and rule.allow and relay is not None:
        yield "RELAYCLIENT for whoever has a name, and most of the world's hosts have one; expected =.domain"
    if address == "" and not rule.allow:
        yield "whoever has no rule of his own is refused, other mail servers too"


def _second_rules(content: bytes) -> Iterator[str]:
    """Of two rules for the same clients the first counts."""
    first: dict[str, int] = {}
    for number, line in enumerate(content.decode("latin-1").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        address = re.split(r":(?=(?:allow|deny)\b)", line, maxsplit=1)[0]
        if first.setdefault(address, number) != number:
            yield f"line {number}: no effect, line {first[address]} is for the same clients"


def _leading_number(text: bytes) -> int:
    """What smtpd makes of DATABYTES: the digits that it begins with."""
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    return int(digits[:18] or b"0")


def _shown(value: bytes) -> str:
    return value.decode("latin-1")
