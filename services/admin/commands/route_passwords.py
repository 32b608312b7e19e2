"""`qmailctl routepasswd RELAY[:PORT] USER`: the password with which delivery-remote logs in at a relay."""

from __future__ import annotations

import os

from qmail.control.route_passwords import FILE, SMTP_PORT, parse_passwords, relay_name, render_passwords
from services.admin.commands.deployment import Deployment, Usage
from services.admin.install import Installer
from services.admin.rights import read_rights

ROLE = "delivery-remote"


def set_password(deployment: Deployment, relay: str, user: str, password: str | None) -> None:
    """Write it where that role alone reads it; None removes it. Raises Usage, ValueError, OSError."""
    path = deployment.directories.credentials_of(ROLE) / FILE
    passwords = parse_passwords(path.read_bytes()) if path.exists() else {}
    key = _relay(relay), os.fsencode(user)
    if password is None:
        if passwords.pop(key, None) is None:
            raise ValueError(f"there is no password for {user} at {relay}")
    else:
        passwords[key] = os.fsencode(password)
    role = read_rights().roles[ROLE]
    Installer(per_user=deployment.per_user).file(path, render_passwords(passwords), 0o400, role.uid, role.gid)


def _relay(text: str) -> bytes:
    """`relay` or `relay:port`, as in smtproutes; an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(SMTP_PORT)
    if not host or not port.isdigit() or len(port) > 5:
        raise Usage
    return relay_name(os.fsencode(host), int(port))
