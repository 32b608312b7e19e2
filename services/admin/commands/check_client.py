"""`qmailctl check ADDRESS [NAME]`: which rule of tcp.smtp a client meets, and what that means."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path

from qmail.control.files import Control
from qmail.control.rules import Rule, Rules, parse_rules
from qmail.control.table import TCPLOOKUP
from qmail.message.printable import printable
from qmail.message.remote_host import NO_HOST, RemoteHost
from qmail.role.remote_hosts import make_remote_hosts
from services.admin.commands.deployment import Deployment, Usage
from services.admin.commands.tcprules import render_found


def check_client(deployment: Deployment, arguments: list[str]) -> int:
    """Say it. Raises Usage, ControlError, RuleError, OSError, ValueError for what is no address."""
    if len(arguments) > 2:
        raise Usage
    ip = str(ipaddress.ip_address(arguments[0]))
    rules = _rules(deployment.directories.paths.tcp_smtp)
    host = RemoteHost(arguments[1].lower()) if len(arguments) == 2 else _host(deployment, rules, ip)
    print(printable(_who(ip, host)))
    found = render_found(rules.address_of(ip, host.name), rules.find(ip, host.name)).splitlines()
    for line in (*found, *_meaning(rules.find(ip, host.name))):
        print(printable(line))
    return 0


def _rules(path: Path) -> Rules:
    try:
        return parse_rules(path.read_bytes())
    except FileNotFoundError:
        return Rules()


def _host(deployment: Deployment, rules: Rules, ip: str) -> RemoteHost:
    """The name, where smtpd would look it up."""
    asked = Control(deployment.directories.paths.control).get(TCPLOOKUP)
    ours = any(ipaddress.ip_address(ip) in network for network in deployment.smtpd_networks)
    if ours or not (asked or rules.depends_on_host(ip)):
        return NO_HOST
    hosts = make_remote_hosts(deployment.environ, time.monotonic)
    return asyncio.run(hosts.find(ip))


def _who(ip: str, host: RemoteHost) -> str:
    if host.doubtful:
        return f"client {ip}, whose name cannot be looked up now: what a rule for it may grant is refused with 451"
    return f"client {ip}, {host.name}" if host.name else f"client {ip}"


def _meaning(rule: Rule) -> Iterator[str]:
    if not rule.allow:
        yield "It hears 421 and is turned away."
        return
    relay = rule.variables.get("RELAYCLIENT")
    if relay is None:
        yield "It may send to our own domains, and elsewhere only after it has logged in."
    else:
        added = f"; {relay.decode('latin-1')} is added to each recipient" if relay else ""
        yield f"It may send to any domain{added}."
