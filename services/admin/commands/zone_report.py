"""`qmailctl dns`: what our own name server says, and what the public DNS must say."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.zone

from qmail.control.files import Control
from qmail.control.table import LOCALS, ME, RCPTHOSTS, VIRTUALDOMAINS
from qmail.message.printable import printable
from services.admin.commands.deployment import Deployment, no_arguments
from services.admin.setup.zones import CONFIGURATION, reverse_zone

# CoreDNS's `file PATH ORIGIN` (coredns-file(7)).
_FILE = re.compile(r"^\s*file\s+(\S+)\s+(\S+)\s*$", re.MULTILINE)


def dns_report(deployment: Deployment, arguments: list[str]) -> int:
    """Print each zone of ours as its records, and the records that the public DNS needs; 1 where a zone cannot be read.

    Raises Usage, and OSError or ControlError where a control file cannot be read."""
    no_arguments(arguments)
    status = 0
    for path, origin in served_zones(deployment.directories.zones):
        try:
            text = render_records(path, origin)
        except (OSError, ValueError, dns.exception.DNSException) as error:
            print(f"qmailctl: {printable(f'{path}: {error}')}", file=sys.stderr)
            status = 1
        else:
            print(f"; {path}\n{text}")
    control = Control(deployment.directories.paths.control)
    address = deployment.environ.get("ADDRESS") or "127.0.0.1"
    print("\n".join(public_lines(_name(control.get(ME)), _domains(control), address)))
    return status


def served_zones(directory: Path) -> list[tuple[Path, str]]:
    """File and origin of each zone that named.conf names below its own directory; none where there is no name server.

    Raises OSError."""
    try:
        text = (directory / CONFIGURATION).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = [(Path(path), origin) for path, origin in _FILE.findall(text)]
    return [(path, origin) for path, origin in found if path.is_relative_to(directory)]


def render_records(path: Path, origin: str) -> str:
    """A line for each record, with full names (RFC 1035 5.1). Raises OSError, ValueError and DNSException, which says
    up to which line it read."""
    with open(path, encoding="utf-8") as file:
        zone = dns.zone.from_file(file, origin=f"{origin.rstrip('.')}.", relativize=False)
    return zone.to_text(relativize=False)


def public_lines(host: str, domains: list[str], address: str) -> Iterator[str]:
    """What whoever serves the domains to the Internet must publish: A of the host, MX of each domain, PTR of the
    address (RFC 5321 5.1, RFC 1912 2.1)."""
    public = ipaddress.ip_address(address).is_global
    shown = address if public else "<your public address>"
    pointer = f"{reverse_zone(address)}." if public else "<its reverse name>"
    yield "; the public DNS must say"
    if not public:
        yield f"; (ADDRESS is {address}, which the Internet does not reach)"
    yield f"{host}. IN A {shown}"
    for domain in domains:
        if domain != host:
            yield f"{'*' * domain.startswith('.')}{domain}. IN MX 50 {host}."
    yield f"{pointer} IN PTR {host}. ; by whoever gave you the address"


def _domains(control: Control) -> list[str]:
    """Those that strangers may send to: rcpthosts, or locals and virtualdomains where it is not there."""
    listed = control.get(RCPTHOSTS)
    names = listed if listed is not None else {*(control.get(LOCALS) or ()), *control.get(VIRTUALDOMAINS)}
    return sorted(_name(name) for name in names if b"." in name and b"@" not in name)


def _name(raw: bytes) -> str:
    return printable(raw).lower()
