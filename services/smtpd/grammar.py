"""SMTP commands, bytes to values, as lax as qmail-smtpd reads them (qmail-smtpd.c, commands.c). No memory, no I/O.

Lax on purpose: the tutorial's telnet sessions write `mail from:ari@mail.xeris.com`, without brackets. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from qmail.message.address import Address

# qmail: 900 with the closing NUL. RFC 5321 4.5.3.1.3 demands 256.
MAX_ADDRESS_BYTES = 899
# RFC 5321 4.5.3.1.4 demands 512; the longest MAIL with an address of qmail's length stays below this.
MAX_COMMAND_BYTES = 2048
# RFC 4954 4: an AUTH exchange may need lines of this length.
MAX_AUTH_BYTES = 12288

_AT = ord("@")
# esmtp-keyword, RFC 5321 4.1.2
_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_ESCAPES = re.compile(rb'[\\"]')
_DOTTED = re.compile(rb"\[(\d+)\.(\d+)\.(\d+)\.(\d+)\]\Z")


def parse_command(line: bytes, *, exact: bool = False) -> tuple[bytes, bytes]:
    """(verb in lower case, argument) of a line without its LF.

    One CR before the LF belongs to it; blanks before the argument are skipped, those after it are kept (commands.c).
    A NUL ends the line, as qmail's strings end; in an argument only where that is asked for (`exact`)."""
    if line[-1:] == b"\r":
        line = line[:-1]
    if b"\0" in line:
        nul = line.index(b"\0")
        line = line[:nul] if exact or b" " not in line[:nul] else line
    verb, _, argument = line.partition(b" ")
    return verb.lower(), argument.lstrip(b" ") if argument[:1] == b" " else argument


def parse_path(argument: bytes) -> tuple[Address, bytes]:
    """(address, what follows it) of the argument of MAIL or RCPT (addrparse in qmail-smtpd.c).

    A `<` anywhere begins the address; else what follows the first `:`. Quotes and backslashes are taken away, a
    source route is dropped (RFC 5321 4.1.1.3 allows that)."""
    terminator = b">"
    _, found, text = argument.partition(b"<")
    if not found:
        terminator = b" "
        text = argument.partition(b":")[2].lstrip(b" ")
    if text[:1] == b"@":
        text = text.partition(b":")[2]
    if _ESCAPES.search(text) is None:
        address, _, rest = text.partition(terminator)
        return Address(address), rest
    return _unquote(text, terminator)


def _unquote(text: bytes, terminator: bytes) -> tuple[Address, bytes]:
    address = bytearray()
    quoted = escaped = False
    for i in range(len(text)):
        octet = text[i : i + 1]
        if escaped:
            address += octet
            escaped = False
        elif octet == terminator and not quoted:
            return Address(bytes(address)), text[i + 1 :]
        elif octet == b"\\":
            escaped = True
        elif octet == b'"':
            quoted = not quoted
        else:
            address += octet
    return Address(bytes(address)), b""


def is_mailbox(address: Address) -> bool:
    """Whether an address has what RFC 5321 4.1.2 wants of a mailbox: a local part, a domain where there is an `@`, and
    no control character."""
    return bool(address) and address.raw[0] != _AT and address.domain != b"" and not address.has_controls()


def is_null_path(argument: bytes) -> bool:
    """Whether MAIL's argument, in which no address was found, means the null sender; `<@x>` is a path of nowhere."""
    return b"@" not in argument.partition(b">")[0]


def replace_address_literal(address: Address, own_ips: Set[str], host: bytes) -> Address:
    """`x@[our own address]` becomes `x@host`, host being control/localiphost (qmail-smtpd(8))."""
    if address.domain is None or address.domain[:1] != b"[":
        return address
    match = _DOTTED.match(address.domain)
    if match is None:
        return address
    # ip_scan reads numbers of any length and keeps eight bits of each: the last eight digits decide, and int()
    # refuses thousands of them.
    ip = ".".join(str(int(part[-8:]) & 255) for part in match.groups())
    return Address.join(address.local, host) if ip in own_ips else address


def parse_parameters(rest: bytes) -> dict[bytes, bytes]:
    """ESMTP parameters by upper-case keyword (RFC 5321 4.1.2).

    The first of a name counts. What has not the form of one is among them too: see `has_unknown`.
    """
    parameters: dict[bytes, bytes] = {}
    for word in rest.split():
        keyword, _, value = word.partition(b"=")
        parameters.setdefault(keyword.upper(), value)
    return parameters


def has_unknown(parameters: Mapping[bytes, bytes], known: Set[bytes]) -> bool:
    """Whether there is any but those known. What has not the form of one is passed over, as by qmail everything."""
    return not parameters.keys() <= known and any(map(_KEYWORD.match, parameters.keys() - known))
