"""What the content of a control file means, by kind of file. Pure.

Each kind reads in two ways. `parse` takes what a person means: line ends of Windows and blanks around a name or number
are nothing, and what can only be a mistake is a Fault (docs/decisions/0015). `parse_as_qmail` is the letter of
qmail's control.c and constmap.c, which finds no faults.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from qmail.control.bad_addresses import BadAddresses, parse_entries, plain_entries
from qmail.control.rules import NoRule, Rules, parse_rules

T_co = TypeVar("T_co", covariant=True)
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Of a number: whatever counts bytes, seconds or connections fits.
MAX_DIGITS = 18
MAX_PORT = 65_535
# Of a faulty line, as much is shown.
MAX_SHOWN = 80
_BLANKS = b" \t\r"
# UTF-8, and UTF-16 in both orders: editors of Windows put them first.
_BYTE_ORDER_MARK = re.compile(rb"\xef\xbb\xbf|\xff\xfe|\xfe\xff")
_CONTROL = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_IN_NO_NAME = re.compile(rb"[\0-\x09\x0b-\x20\x7f@:]")
_IN_NO_ADDRESS_OR_NAME = re.compile(rb"[\0-\x09\x0b-\x20\x7f@]")
_IN_NO_SENDER = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]|[ \t]#|@.*[ \t].*@")
_IN_NO_KEY = re.compile(rb"[\0-\x20\x7f]")
_MODULE = re.compile(rb"auth[a-z0-9]+")
MODULES_EXPECTED = "names of modules, as in authuserdb authpam"
_PYTHON_CLASS = re.compile(rb"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# relay, [address], either with :port, or nothing at all (qmail-remote(8)).
_RELAY_ALONE = re.compile(rb"(\[[^\]\0-\x20\x7f]+\]|[^:\[\]|/\0-\x20\x7f]*)(:\d{1,5}(?!\d))?")
# Behind it who logs in, and what is asked of TLS (services.delivery.remote.routes).
_RELAY = re.compile(_RELAY_ALONE.pattern + rb"([ \t]+(user=[^\0-\x20\x7f]+|tls(=encrypt|=verify)?))*")
_SERVER = re.compile(rb"(?P<host>\[[^\]]+\]|[^:]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(:(?P<port>\d{1,5}))?")
_ANYTHING = re.compile(rb".*")


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be meant so: its number, what it holds, what was expected; and the value that stands in its
    file's place where the value of before must not (None: that of before)."""

    line: int
    found: str
    expected: str
    instead: Any = None

    def __str__(self) -> str:
        return f"{self.line}: expected {self.expected}, found {self.found}"


class Kind(Protocol[T_co]):
    """A kind of control file. None stands for a file that says nothing, which is as none."""

    def parse(self, content: bytes) -> T_co | Fault | None:
        """The value as a person means it."""

    def parse_as_qmail(self, content: bytes) -> T_co | Fault | None:
        """The value to qmail's letter."""


@dataclass(frozen=True, slots=True)
class Number:
    """The first line, a number of `unit`; a smaller one counts as `least`. Without digits there is none."""

    unit: str
    least: int = 0

    def parse(self, content: bytes) -> int | Fault | None:
        line = content.split(b"\n", 1)[0].strip(_BLANKS)
        if not line:
            return None
        if not line.isdigit():
            return _fault(1, line, f"a number of {self.unit}")
        return self._bounded(line)

    def parse_as_qmail(self, content: bytes) -> int | Fault | None:
        """The digits that the line begins with (control_readint, scan_ulong)."""
        line = first_line_of_qmail(content)
        digits = line[: len(line) - len(line.lstrip(b"0123456789"))]
        return self._bounded(digits) if digits else None

    def _bounded(self, digits: bytes) -> int | Fault:
        if len(digits) > MAX_DIGITS:
            return _fault(1, digits, f"a number of {self.unit}, of at most {MAX_DIGITS} digits")
        return max(self.least, int(digits))


@dataclass(frozen=True, slots=True)
class Line:
    """The first line; an empty one is none."""

    expected: str = "text in printable characters"

    def parse(self, content: bytes) -> bytes | Fault | None:
        line = content.split(b"\n", 1)[0].strip(_BLANKS)
        return _fault(1, line, self.expected) if self.is_faulty(line) else line or None

    def parse_as_qmail(self, content: bytes) -> bytes | Fault | None:
        """control_readline: an empty line is an empty value."""
        return first_line_of_qmail(content)

    def is_faulty(self, line: bytes) -> bool:
        """Whether nobody can mean this."""
        return _is_marked(line) or _CONTROL.search(line) is not None


@dataclass(frozen=True, slots=True)
class HostName(Line):
    """The first line, one name."""

    expected: str = "one host name"

    def is_faulty(self, line: bytes) -> bool:
        # An address in brackets may have colons.
        bad = _IN_NO_ADDRESS_OR_NAME if line.startswith(b"[") else _IN_NO_NAME
        return _is_marked(line) or line.startswith(b"#") or bad.search(line) is not None


@dataclass(frozen=True, slots=True)
class PythonClass(Line):
    """The first line, a class of Python's."""

    expected: str = "package.module:Class"

    def is_faulty(self, line: bytes) -> bool:
        return bool(line) and _PYTHON_CLASS.fullmatch(line) is None


@dataclass(frozen=True, slots=True)
class Names:
    """A name in each line, in lower case; comments from `#` at the beginning of a line, empty lines are nothing."""

    expected: str = "one domain name"
    bad: re.Pattern[bytes] = _IN_NO_NAME

    def parse(self, content: bytes) -> frozenset[bytes] | Fault | None:
        lines = list(meant_lines(content))
        # One search for all: there are lists of a million names.
        if self.is_faulty(b"\n".join(line for _, line in lines)):
            return self._fault(lines)
        return frozenset(line.lower() for _, line in lines)

    def _fault(self, lines: list[tuple[int, bytes]]) -> Fault:
        number, line = next((number, line) for number, line in lines if self.is_faulty(line))
        return _fault(number, line, self.expected)

    def is_faulty(self, text: bytes) -> bool:
        """Whether nobody can mean this, in one name or more."""
        return self.bad.search(text) is not None or _is_marked(text)

    def parse_as_qmail(self, content: bytes) -> frozenset[bytes] | Fault | None:
        return frozenset(line.lower() for line in lines_of_qmail(content))


@dataclass(frozen=True, slots=True)
class BadAddressList:
    """An entry in each line (qmail.control.bad_addresses)."""

    expected: str = "one address, or @domain"

    def parse(self, content: bytes) -> BadAddresses | Fault | None:
        found = Names(self.expected, _IN_NO_SENDER).parse(content)
        if not isinstance(found, frozenset):
            return found
        try:
            return parse_entries(found)
        except ValueError as error:
            return Fault(1, "more", str(error))

    def parse_as_qmail(self, content: bytes) -> BadAddresses | Fault | None:
        return plain_entries(lines_of_qmail(content))


ACCOUNTS = Names("one account name")
HOSTS = Names("one domain, host name or address", _IN_NO_ADDRESS_OR_NAME)


@dataclass(frozen=True, slots=True)
class Pairs:
    """`key:value` in each line, keys in lower case; the last of equal keys counts (constmap.c)."""

    expected: str
    value: re.Pattern[bytes]

    def parse(self, content: bytes) -> dict[bytes, bytes] | Fault | None:
        pairs: dict[bytes, bytes] = {}
        for number, line in meant_lines(content):
            key, colon, value = line.partition(b":")
            if not colon or _is_marked(line) or _IN_NO_KEY.search(key):
                return _fault(number, line, self.expected)
            if not self.value.fullmatch(value):
                return _fault(number, line, self.expected)
            pairs[key.lower()] = value
        return pairs

    def parse_as_qmail(self, content: bytes) -> dict[bytes, bytes] | Fault | None:
        cut = (line.partition(b":") for line in lines_of_qmail(content))
        return {key.lower(): value for key, colon, value in cut if colon}


VIRTUAL_DOMAINS = Pairs("domain:prefix", re.compile(rb"[^\0-\x20\x7f]*"))


#: In place of a route that was not understood; nor is it by whoever looks for the way.
UNUSABLE_ROUTE = b"|"


@dataclass(frozen=True, slots=True)
class Routes:
    """`domain:relay:port` in each line, then options with blanks between; a relay of nothing is the DNS.

    What follows the port is never passed over. It may be a password: it is shown to nobody, and mail for that domain
    waits until the line is mended."""

    expected: str = "domain:relay or domain:relay:port, then perhaps user=NAME, tls or tls=encrypt"

    def parse(self, content: bytes) -> dict[bytes, bytes] | Fault | None:
        pairs = Pairs(self.expected, _ANYTHING).parse(content)
        if not isinstance(pairs, dict):
            return pairs
        bad = {key: value for key, value in pairs.items() if not _RELAY.fullmatch(value)}
        if not bad:
            return pairs
        known = ((number, *line.partition(b":")) for number, line in meant_lines(content))
        number, key, value = next((n, k, v) for n, k, _, v in known if bad.get(k.lower()) == v)
        relay = _RELAY_ALONE.match(value)
        fault = _fault(number, key + b":" + (relay[0] if relay else b""), self.expected)
        return Fault(number, f"{fault.found} and more", fault.expected, pairs | dict.fromkeys(bad, UNUSABLE_ROUTE))

    def parse_as_qmail(self, content: bytes) -> dict[bytes, bytes] | Fault | None:
        return Pairs(self.expected, _ANYTHING).parse_as_qmail(content)


ROUTES = Routes()


@dataclass(frozen=True, slots=True)
class Addresses:
    """An IP address in each line, as 192.0.2.1, [192.0.2.1] or [IPv6:2001:db8::1]; the values in their usual form."""

    def parse(self, content: bytes) -> frozenset[str] | Fault | None:
        found: set[str] = set()
        for number, line in meant_lines(content):
            address = _address(line)
            if address is None:
                return _fault(number, line, "one IP address")
            found.add(address)
        return frozenset(found)

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class Servers:
    """An IP address in each line, as 192.0.2.1, 192.0.2.1:628 or [2001:db8::1]:628, in the order of the lines."""

    port: int
    expected: str = "one IP address, perhaps with :port"

    def parse(self, content: bytes) -> tuple[tuple[str, int], ...] | Fault | None:
        found: list[tuple[str, int]] = []
        for number, line in meant_lines(content):
            match = _SERVER.fullmatch(line)
            address = _address(match["host"]) if match else None
            if match is None or address is None or int(match["port"] or 0) > MAX_PORT:
                return _fault(number, line, self.expected)
            found.append((address, int(match["port"] or self.port)))
        return tuple(found)

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class Networks:
    """An IP address or a network in each line, as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64."""

    def parse(self, content: bytes) -> tuple[Network, ...] | Fault | None:
        found: list[Network] = []
        for number, line in meant_lines(content):
            try:
                found.append(ipaddress.ip_network(line.decode("ascii"), strict=False))
            except ValueError:
                return _fault(number, line, "one IP address or network, as in 192.0.2.7 or 2001:db8::/64")
        return tuple(found)

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """The first line: names of modules as Courier has them, `auth` and more, with blanks between."""

    def parse(self, content: bytes) -> tuple[bytes, ...] | Fault | None:
        line = content.split(b"\n", 1)[0].strip(_BLANKS)
        names = line.split()
        return tuple(names) if names and all(map(_MODULE.fullmatch, names)) else _fault(1, line, MODULES_EXPECTED)

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class AuthDaemonRc:
    """Courier's authdaemonrc, assignments as a shell reads them: the modules of `authmodulelist`. `daemons` must be
    a number and changes nothing here; what else Courier has there is passed over."""

    def parse(self, content: bytes) -> tuple[bytes, ...] | Fault | None:
        try:
            words = shlex.split(content.decode("utf-8", "surrogateescape"), comments=True)
        except ValueError:
            return _fault(1, b"a quotation mark without its second", "assignments as in Courier's authdaemonrc")
        values: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not (equals and name.isidentifier()):
                return _fault(_line_of(content, word), _octets(word), 'assignments, as in authmodulelist="authpam"')
            values[name] = value
        if not values.get("daemons", "0").strip().isdecimal():
            return _fault(_line_of(content, "daemons"), _octets(values["daemons"]), "daemons=, a number")
        names = _octets(values.get("authmodulelist", "")).split()
        if all(map(_MODULE.fullmatch, names)):
            return tuple(names) or None
        return _fault(_line_of(content, "authmodulelist"), b" ".join(names), MODULES_EXPECTED)

    parse_as_qmail = parse


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _line_of(content: bytes, word: str) -> int:
    return content[: max(0, content.find(_octets(word)))].count(b"\n") + 1


@dataclass(frozen=True, slots=True)
class Switch:
    """The first line: this one word, or nothing."""

    word: bytes

    def parse(self, content: bytes) -> bool | Fault | None:
        line = content.split(b"\n", 1)[0].strip(_BLANKS)
        if line in (b"", self.word):
            return bool(line)
        return _fault(1, line, f"{self.word.decode('ascii')}, or no such file")

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class Presence:
    """That the file is there is what it says."""

    def parse(self, _content: bytes) -> bool | Fault | None:
        return True

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class Instructions:
    """Lines as in .qmail (dot-qmail(5)), at least one: mail without any would be thrown away."""

    def parse(self, content: bytes) -> bytes | Fault | None:
        if _is_marked(first := content.split(b"\n", 1)[0]):
            return _fault(1, first, "delivery instructions, as in ./Maildir/")
        text = b"\n".join(line.rstrip(_BLANKS) for line in content.split(b"\n")).strip(b"\n")
        return text or Fault(1, "nothing", "delivery instructions, as in ./Maildir/")

    parse_as_qmail = parse


@dataclass(frozen=True, slots=True)
class ClientRules:
    """tcprules' lines (qmail.control.rules)."""

    def parse(self, content: bytes) -> Rules | Fault | None:
        try:
            return parse_rules(content)
        except NoRule as error:
            found, _, expected = str(error).removeprefix(f"line {error.line}: ").partition("; expected ")
            return Fault(error.line, found, expected or "a rule of tcprules")

    parse_as_qmail = parse


def meant_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line that says something, without the blanks around it."""
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.strip(_BLANKS)
        if line and not line.startswith(b"#"):
            yield number, line


def first_line_of_qmail(content: bytes) -> bytes:
    """control_readline: without the blanks and tabs behind it."""
    return content.split(b"\n", 1)[0].rstrip(b" \t")


def lines_of_qmail(content: bytes) -> list[bytes]:
    """control_readfile: all lines but comments and empty ones, without blanks and tabs behind."""
    stripped = (line.rstrip(b" \t") for line in content.split(b"\n"))
    return [line for line in stripped if line and not line.startswith(b"#")]


def _address(line: bytes) -> str | None:
    text = line
    if text.startswith(b"[") and text.endswith(b"]"):
        text = text[1:-1]
        if text[:5].lower() == b"ipv6:":
            text = text[5:]
    try:
        return str(ipaddress.ip_address(text.decode("ascii")))
    except ValueError:
        return None


def _is_marked(text: bytes) -> bool:
    return _BYTE_ORDER_MARK.search(text) is not None


def _fault(number: int, line: bytes, expected: str) -> Fault:
    if _is_marked(line):
        return Fault(number, "a byte order mark before it", expected)
    shown = line[:MAX_SHOWN].decode("utf-8", "backslashreplace")
    return Fault(number, ascii(shown) + ("..." if len(line) > MAX_SHOWN else ""), expected)
