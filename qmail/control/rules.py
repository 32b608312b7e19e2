"""tcp.smtp: who may connect, and with which variables (the text that tcprules(1) compiles). Pure.

A rule is `addresses:instruction`. Addresses: a whole IP; a prefix that ends in a dot (for IPv6 in a colon); ranges
in any number (`192.168.1.1-20`); `=host`, `=.domain` or `=` where the client's name is known; or nothing, for
everybody.
Instruction: `allow` or `deny`, then any number of `,NAME="value"`, the character after `=` being the quote. The
most specific rule wins, as in tcpserver. smtpd obeys these rules, and admin checks them by the same words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

# A rule such as 1-255.1-255.: beyond this it is no longer a rule but a mistake.
MAX_EXPANDED = 65_536

# No address is longer, with a range for each number.
MAX_ADDRESS_CHARACTERS = 255

_RANGE = re.compile(r"(\d{1,3})-(\d{1,3})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class RuleError(ValueError):
    """A bad line, or a rule that must not be; the text begins with the line's number and says what was expected."""


class NoRule(RuleError):
    """A line that is no rule: tcprules would refuse the file."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do with a client: refuse it, or serve it with these variables (RELAYCLIENT, DATABYTES, ...)."""

    allow: bool
    variables: Mapping[str, bytes] = field(default_factory=dict)
    line: int = 0


# tcpserver without a matching rule accepts the connection.
ALLOW = Rule(allow=True)


@dataclass(frozen=True, slots=True)
class Rules:
    """A parsed file: rules by the address text that they begin with; the first of two equal ones counts."""

    by_address: Mapping[str, Rule] = field(default_factory=dict)
    #: Whether a rule is for `=host`, and whether one is for `=.domain` or `=`.
    whole_hosts: bool = False
    domains: bool = False

    def depends_on_host(self, ip: str) -> bool:
        """Whether another rule may be found for this address where its client's name is known."""
        rules = self.by_address
        if not (self.whole_hosts or self.domains) or ip in rules:
            return False
        return self.whole_hosts or not any(prefix in rules for prefix in _prefixes(ip))

    def find(self, ip: str, host: str = "") -> Rule:
        """The rule for a client, in tcpserver's order: IP, =host, longer prefixes first, =.domain, =, the empty one.

        `host`: in lower case; empty where it is not known."""
        address = self.address_of(ip, host)
        return ALLOW if address is None else self.by_address[address]

    def address_of(self, ip: str, host: str = "") -> str | None:
        """What that rule begins with; None where there is none."""
        rules = self.by_address
        return next((each for each in client_addresses(ip, host or None) if each in rules), None) if rules else None

    def relaying(self) -> Iterator[tuple[str, Rule]]:
        """The rules that let their clients relay."""
        return ((a, r) for a, r in self.by_address.items() if r.allow and "RELAYCLIENT" in r.variables)


def client_addresses(ip: str, host: str | None = None, info: str | None = None) -> Iterator[str]:
    """What the rules for a client may begin with, in the order in which they count (rules.c of ucspi-tcp).

    `info` is the remote user's name, which only tcprulescheck is told."""
    if info is not None:
        yield f"{info}@{ip}"
        if host is not None:
            yield f"{info}@={host}"
    yield ip
    if host is not None:
        yield "=" + host
    yield from _prefixes(ip)
    if host is not None:
        dot = host.find(".")
        while dot >= 0:
            yield "=" + host[dot:]
            dot = host.find(".", dot + 1)
        yield "="
    yield ""


def _prefixes(ip: str) -> Iterator[str]:
    for separator in (".", ":"):
        end = ip.rfind(separator)
        while end >= 0:
            yield ip[: end + 1]
            end = ip.rfind(separator, 0, end)


def parse_rules(content: bytes) -> Rules:
    """Raises NoRule, `line 3: ...`, for the first line that is not understood."""
    by_address: dict[str, Rule] = {}
    for addresses, rule in read_lines(content):
        for address in expand(addresses, rule.line):
            by_address.setdefault(address, rule)
            if len(by_address) > MAX_EXPANDED:
                raise NoRule(rule.line, f"more than {MAX_EXPANDED} addresses; expected a prefix instead of a range")
    hosts = [address for address in by_address if address.startswith("=")]
    domains = [host for host in hosts if host == "=" or host.startswith("=.")]
    return Rules(by_address, whole_hosts=len(hosts) > len(domains), domains=bool(domains))


def read_lines(content: bytes) -> Iterator[tuple[str, Rule]]:
    """The rules as they are written, each behind what stands before its colon. Raises NoRule."""
    for number, raw in enumerate(content.decode("latin-1").split("\n"), 1):
        line = raw.rstrip(" \t\r")
        if not line or line.startswith("#"):
            continue
        addresses, colon, instruction = _cut(line)
        if not colon:
            raise NoRule(number, f"no colon in {line!r}; expected addresses:allow or addresses:deny")
        if len(addresses) > MAX_ADDRESS_CHARACTERS:
            raise NoRule(number, f"{len(addresses)} characters; expected one address before the colon")
        yield addresses, _parse_instruction(instruction, number)


def _cut(line: str) -> tuple[str, str, str]:
    """At the colon before the instruction: an IPv6 address has colons of its own."""
    match = re.search(r":(?=(?:allow|deny)(?:,|\Z))", line)
    return line.partition(":") if match is None else (line[: match.start()], ":", line[match.end() :])


def _parse_instruction(text: str, number: int) -> Rule:
    word, comma, rest = text.partition(",")
    if word not in ("allow", "deny"):
        raise NoRule(number, f"{word!r}; expected allow or deny after the colon")
    variables: dict[str, bytes] = {}
    while comma:
        name, equals, value = rest.partition("=")
        if not equals or not _NAME.match(name) or not value:
            raise NoRule(number, f'{rest!r}; expected NAME="value" after the comma')
        end = value.find(value[0], 1)
        if end < 0:
            raise NoRule(number, f"the value of {name} has no closing {value[0]}")
        variables[name] = value[1:end].encode("latin-1")
        comma, rest = value[end + 1 : end + 2], value[end + 2 :]
        if comma not in ("", ","):
            raise NoRule(number, f"{comma + rest!r} after the value of {name}; expected a comma")
    return Rule(word == "allow", MappingProxyType(variables), number)


def expand(addresses: str, number: int) -> Iterable[str]:
    """`192.168.1.1-20` as its twenty addresses; everything else as it is. Raises NoRule."""
    if addresses.startswith("="):
        return [addresses.lower()]
    match = _RANGE.search(addresses)
    if match is None:
        return [_checked(addresses, number)]
    low, high = int(match[1]), int(match[2])
    if low > high or high > 255:
        raise NoRule(number, f"range {match[0]}; expected low-high within 0-255")
    head, tail = addresses[: match.start()], addresses[match.end() :]
    return (a for n in range(low, high + 1) for a in expand(f"{head}{n}{tail}", number))


def _checked(address: str, number: int) -> str:
    text = address.lower()
    if "@" in text:
        raise NoRule(number, f"{address!r}: remote user names are not looked up; expected an IP address or prefix")
    if text and not re.fullmatch(r"(\d{1,3}\.){1,3}|(\d{1,3}\.){3}\d{1,3}|[0-9a-f:.]*:[0-9a-f:.]*", text):
        raise NoRule(number, f"{address!r}; expected an IP address, a prefix such as 192.168.1., =host, or nothing")
    return text


def refuse_relaying_for(rules: Rules, networks: Iterable[Network]) -> None:
    """No container network is trusted: through address translation anybody may look like its gateway.

    Raises RuleError."""
    own = tuple(networks)
    for address, rule in rules.relaying():
        for network in own:
            if covers(address, network):
                raise RuleError(
                    f"line {rule.line}: RELAYCLIENT for {address or 'everybody'!r} covers smtpd's own network "
                    f"{network}, and strangers can look like it; expected addresses outside of it"
                )


def covers(address: str, network: Network) -> bool:
    """Whether the rule for `address` matches any client in `network`.

    `=host` rules cannot be known: they count as not.
    """
    if address.startswith("="):
        return False
    if address == "":
        return True
    own = _as_network(address)
    return own is not None and own.version == network.version and own.overlaps(network)


def _as_network(address: str) -> Network | None:
    try:
        if ":" in address:
            return ipaddress.ip_network(address) if not address.endswith(":") else _v6_prefix(address)
        parts = address.rstrip(".").split(".")
        filled = ".".join(parts + ["0"] * (4 - len(parts)))
        return ipaddress.ip_network(f"{filled}/{8 * len(parts)}")
    except ValueError:
        return None


def _v6_prefix(address: str) -> ipaddress.IPv6Network | None:
    groups = [group for group in address.split(":") if group]
    text = ":".join(groups) + ("::" if len(groups) < 8 else "")
    return ipaddress.IPv6Network(f"{text}/{16 * len(groups)}")
