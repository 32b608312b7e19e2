"""tcprules(1) and tcprulescheck(1): the rules as a constant database, and what they say of a client.

smtpd reads tcp.smtp as text: nothing needs the database but who is used to it, and tcprulescheck.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from qmail.control import cdb
from qmail.control.rules import NoRule, Rule, client_addresses, expand, read_lines

EX_USAGE = 100
EX_TEMPORARY = 111
_NO_ADDRESS = "0.0.0.0"


def tcprules(arguments: list[str], text: bytes) -> int:
    """Write the rules aside, then give them their name."""
    if len(arguments) < 2:
        print("tcprules: usage: tcprules rules.cdb rules.tmp", file=sys.stderr)
        return EX_USAGE
    name, aside = arguments[:2]
    try:
        Path(aside).write_bytes(b"")
        content = cdb.make(_records(text))
        with open(aside, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.rename(aside, name)
    except NoRule as error:
        line = text.decode("latin-1").split("\n")[error.line - 1].rstrip(" \t\r")
        print(f"tcprules: fatal: unable to parse this line: {line}", file=sys.stderr)
        return EX_USAGE
    except OSError as error:
        print(f"tcprules: fatal: unable to create {error.filename}: {error.strerror}", file=sys.stderr)
        return EX_TEMPORARY
    return 0


def _records(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    for addresses, rule in read_lines(text):
        data = b"" if rule.allow else b"D\0"
        data += b"".join(b"+%s=%s\0" % (name.encode(), value) for name, value in rule.variables.items())
        # Rules for users, which our smtpd does not have, are rules of tcprules'.
        for address in [addresses] if "@" in addresses else expand(addresses, rule.line):
            yield address.encode("latin-1"), data


def tcprulescheck(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Say which rule TCPREMOTEIP, TCPREMOTEHOST and TCPREMOTEINFO meet."""
    if not arguments:
        print("tcprulescheck: usage: tcprulescheck rules.cdb", file=sys.stderr)
        return EX_USAGE
    ip, host = environ.get("TCPREMOTEIP", _NO_ADDRESS), environ.get("TCPREMOTEHOST")
    try:
        content = Path(arguments[0]).read_bytes()
        for address in client_addresses(ip, host, environ.get("TCPREMOTEINFO")):
            data = cdb.find(content, address.encode("latin-1", "replace"))
            if data is not None:
                print(render_found(address, read_data(data)), end="")
                return 0
    except (OSError, cdb.CdbError) as error:
        why = "file does not exist" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", str(error))
        print(f"tcprulescheck: fatal: unable to read {arguments[0]}: {why}", file=sys.stderr)
        return EX_TEMPORARY
    print(render_found(None, Rule(allow=True)), end="")
    return 0


def read_data(data: bytes) -> Rule:
    """What a record of the database says."""
    pairs = (part[1:].partition(b"=") for part in data.removeprefix(b"D\0").split(b"\0") if part)
    return Rule(not data.startswith(b"D"), {name.decode("latin-1"): value for name, _, value in pairs})


def render_found(address: str | None, rule: Rule) -> str:
    """tcprulescheck's lines. `address`: what the rule begins with, None where there is none."""
    lines = ["default:" if address is None else f"rule {address}:"]
    if rule.allow:
        lines += [f"set environment variable {n}={v.decode('latin-1')}" for n, v in rule.variables.items()]
    return "\n".join([*lines, "allow connection" if rule.allow else "deny connection"]) + "\n"
