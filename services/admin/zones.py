"""The zone files of the deployment's own names, made once from ME and ADDRESS (the tutorial's chapter 3.2, repaired).

Afterwards they are the administrator's: edited in /var/named, serial counted up, read by CoreDNS within a minute.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from services.admin.config_fast import default_domain
from services.admin.files import Keeper

CONFIGURATION = "named.conf"

_SOA = """\
{apex}  1D IN SOA   {server} {mailbox} (
                  42    ; serial (d. adams)
                  3H    ; refresh
                  15M   ; retry
                  1W    ; expiry
                  1D )  ; minimum
"""


def reverse_zone(address: str) -> str:
    """The zone of this one address: it takes nobody else's names (RFC 1035 3.5, RFC 2317). Raises ValueError."""
    return ipaddress.IPv4Address(address).reverse_pointer


def render_zone(host: str, address: str) -> str:
    """The zone of the host's domain: SOA, NS, A, MX 50, the host, www."""
    domain = default_domain(host)
    name = host.removesuffix(f".{domain}")
    mail = "" if host == domain else f"{name:5} 1D IN A     {address}\n"
    return (
        f"$TTL 86400\n$ORIGIN {domain}.\n"
        + _SOA.format(apex="@   ", server="@", mailbox="root")
        + f"      1D IN NS    @\n      1D IN A     {address}\n      1D IN MX 50 {host}.\n"
        + mail
        + ("" if name == "www" else "www   1D IN CNAME @\n")
    )


def render_reverse(host: str, address: str) -> str:
    """The zone of the address: whose it is. Raises ValueError."""
    return (
        f"$TTL 86400\n$ORIGIN {reverse_zone(address)}.\n"
        + _SOA.format(apex="@   ", server=f"{host}.", mailbox=f"root.{default_domain(host)}.")
        + f"      1D IN NS    {host}.\n      1D IN PTR   {host}.\n"
    )


def render_configuration(host: str, address: str, directory: Path) -> str:
    """What services/dns/Corefile imports: the list of zones, and the published server block that serves them."""
    zones = {default_domain(host): directory / _file_name(host), reverse_zone(address): directory / f"{address}.db"}
    lines = "".join(f"    file {path} {zone}\n" for zone, path in zones.items())
    names = " ".join(f"{zone}:5353" for zone in zones)
    return (
        "# Made by admin at first start from ME and ADDRESS; yours from then on.\n"
        f"(own) {{\n{lines}}}\n\n"
        "# Published as port 53: authoritative, and nothing else.\n"
        f"{names} {{\n    errors\n    import own\n}}\n"
    )


def _file_name(host: str) -> str:
    """xeris.com is in xeris.db, as in the tutorial."""
    return f"{default_domain(host).partition('.')[0]}.db"


def make_zones(host: str, address: str, directory: Path, keeper: Keeper) -> None:
    """Make what is missing; the configuration last, because CoreDNS begins with it. Raises OSError, ValueError."""
    keeper.directory(directory, 0o755)
    files = {
        _file_name(host): render_zone(host, address),
        f"{address}.db": render_reverse(host, address),
        CONFIGURATION: render_configuration(host, address, directory),
    }
    if not (directory / CONFIGURATION).exists():
        for name, text in files.items():
            keeper.file_once(directory / name, text.encode("ascii"), 0o644)
