"""Whether names can be looked up: part of the health of those roles that need MX records."""

from __future__ import annotations

import os
from collections.abc import Mapping

import dns.resolver

from qmail.control.files import Control
from qmail.control.settings import read_name_server
from qmail.control.table import DEFAULTDOMAIN
from qmail.role.health import Check
from qmail.role.resolver import make_resolver

LIFETIME_SECONDS = 5.0


def names_checks(control: Control, environ: Mapping[str, str] = os.environ) -> tuple[Check, ...]:
    """A check that asks DNS_SERVER for the MX of control/defaultdomain; none where DNS_SERVER is not set. "No such
    name" is an answer too. The check raises DNSException, ControlError. Raises SettingsError."""
    if read_name_server(environ) is None:
        return ()
    resolver = make_resolver(environ, LIFETIME_SECONDS)

    async def check() -> None:
        domain = control.get(DEFAULTDOMAIN).decode("latin-1")
        try:
            await resolver.resolve(domain, "MX", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return

    return (check,)
