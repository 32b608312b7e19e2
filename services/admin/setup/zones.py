"""The zone files of the deployment's own names, made from its name and ADDRESS (the tutorial's chapter 3.2, repaired).

They follow ADDRESS until the administrator edits them: in /var/named, serial counted up, read by CoreDNS within a
minute.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from qmail.control.files import Control
from qmail.control.table import LOCALS, VIRTUALDOMAINS
from services.admin.install import Installer
from services.admin.setup.config_fast import default_domain
from services.admin.setup.generated_files import GeneratedFiles, Origin

CONFIGURATION = "named.conf"
# A name that no domain's own zone file can have: there the first label stands alone.
REVERSE = "in-addr.arpa.db"
# The tutorial's named.conf has both (RFC 1912 4.1). They are the same everywhere: services/dns, at the image's root.
LOOPBACK = {"localhost": Path("/localhost.zone"), "0.0.127.in-addr.arpa": Path("/named.local")}
FIRST_SERIAL = 42

_SOA = """\
{apex}  1D IN SOA   {server} {mailbox} (
                  {serial:<5} ; serial (d. adams)
                  3H    ; refresh
                  15M   ; retry
                  1W    ; expiry
                  1D )  ; minimum
"""
_SERIAL = re.compile(r"(\d+) *; serial")


def reverse_zone(address: str) -> str:
    """The zone of this one address: it takes nobody else's names (RFC 1035 3.5, RFC 2317). Raises ValueError."""
    return ipaddress.IPv4Address(address).reverse_pointer


def render_zone(host: str, address: str, serial: int = FIRST_SERIAL, names: Iterable[str] = ()) -> str:
    """The zone of the host's domain: SOA, NS, A, MX 50, the host, www; A and MX of each mail domain below it."""
    domain = default_domain(host)
    name = host.removesuffix(f".{domain}")
    below = [each.removesuffix(f".{domain}") for each in names if each.endswith(f".{domain}") and each != host]
    mail = "" if host == domain else f"{name:5} 1D IN A     {address}\n"
    return (
        f"$TTL 86400\n$ORIGIN {domain}.\n"
        + _SOA.format(apex="@   ", server="@", mailbox="root", serial=serial)
        + f"      1D IN NS    @\n      1D IN A     {address}\n      1D IN MX 50 {host}.\n"
        + mail
        + "".join(f"{each:5} 1D IN A     {address}\n      1D IN MX 50 {host}.\n" for each in below)
        + ("" if "www" in (name, *below) else "www   1D IN CNAME @\n")
    )


def render_reverse(host: str, address: str, serial: int = FIRST_SERIAL) -> str:
    """The zone of the address: whose it is. Raises ValueError."""
    return (
        f"$TTL 86400\n$ORIGIN {reverse_zone(address)}.\n"
        + _SOA.format(apex="@   ", server=f"{host}.", mailbox=f"root.{default_domain(host)}.", serial=serial)
        + f"      1D IN NS    {host}.\n      1D IN PTR   {host}.\n"
    )


def render_configuration(host: str, address: str, directory: Path) -> str:
    """What services/dns/Corefile imports: the list of zones, and the published server block that serves them."""
    own = {default_domain(host): directory / _file_name(host), reverse_zone(address): directory / REVERSE}
    zones = own | LOOPBACK
    lines = "".join(f"    file {path} {zone}\n" for zone, path in zones.items())
    names = " ".join(f"{zone}:5353" for zone in zones)
    return (
        "# Made by admin from ME and ADDRESS; yours from when you edit it.\n"
        f"(own) {{\n{lines}}}\n\n"
        "# Published as port 53: authoritative, and nothing else.\n"
        f"{names} {{\n    errors\n    import own\n}}\n"
    )


def _file_name(host: str) -> str:
    """xeris.com is in xeris.db, as in the tutorial."""
    return f"{default_domain(host).partition('.')[0]}.db"


def make_zones(host: str, address: str, directory: Path, installer: Installer, names: Sequence[str] = ()) -> None:
    """Make what is missing, or make anew what was not edited where ADDRESS has changed. Raises OSError, ValueError.

    The configuration comes last, because CoreDNS begins with it. The reverse zone and the configuration that names it
    stay together."""
    installer.directory(directory, 0o755)
    generated = GeneratedFiles(directory)
    if not (directory / CONFIGURATION).exists():
        generated.make(_render(host, address, directory, FIRST_SERIAL, names), Origin(address, host), installer)
    last = generated.last_origin(CONFIGURATION)
    if last is None:
        return  # brought along from elsewhere
    # The name that the zone was made for: control/me may have been edited since.
    host, zone = last.host, _file_name(last.host)
    texts = _render(host, address, directory, _next_serial(directory / name for name in (zone, REVERSE)), names)
    for group in ((zone,), (REVERSE, CONFIGURATION)):
        generated.renew({name: texts[name] for name in group}, Origin(address, host), installer)


def refresh_zones(host: str, names: Sequence[str], directory: Path, installer: Installer) -> Iterator[str]:
    """Make the zones anew for these names, what was edited left alone; what is to be told. Raises OSError."""
    generated = GeneratedFiles(directory)
    last = generated.last_origin(CONFIGURATION)
    if last is None:
        yield f"{directory}: the zones are yours; see qmailctl dns for what they must say"
        return
    zone, origin = _file_name(host), Origin(last.address, host)
    texts = _render(host, last.address, directory, _next_serial(directory / name for name in (zone, REVERSE)), names)
    for group in ((zone,), (REVERSE, CONFIGURATION)):
        if not generated.remake({name: texts[name] for name in group}, origin, installer, _SERIAL):
            yield f"{directory / group[0]}: edited, so it is left as it is; it needs an A and an MX of each domain"
    outside = [name for name in names if not f".{name}".endswith(f".{default_domain(host)}")]
    for name in outside:
        yield f"{name}: whoever serves its zone must say: {name}. IN MX 50 {host}."


def own_domains(control: Control) -> tuple[str, ...]:
    """The whole domains of locals and virtualdomains. Raises ControlError."""
    found = (control.get(LOCALS) or frozenset()) | control.get(VIRTUALDOMAINS).keys()
    names = (name.decode("ascii", "replace") for name in found if name[:1] not in (b"", b".") and b"@" not in name)
    return tuple(sorted(names))


def _render(host: str, address: str, directory: Path, serial: int, names: Sequence[str]) -> dict[str, str]:
    return {
        _file_name(host): render_zone(host, address, serial, names),
        REVERSE: render_reverse(host, address, serial),
        CONFIGURATION: render_configuration(host, address, directory),
    }


def _next_serial(paths: Iterable[Path]) -> int:
    """One more than any of these files has, so that whoever keeps a copy of a zone takes the new one (RFC 1912 2.2)."""
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths if path.exists())
    return 1 + max((int(found[1]) for text in texts if (found := _SERIAL.search(text))), default=FIRST_SERIAL)
