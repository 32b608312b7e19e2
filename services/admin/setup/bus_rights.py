"""The bus's users and their permissions, rendered from RIGHTS.toml for the NATS server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from services.admin.install import Installer
from services.admin.rights import Rights, Role

PASSWORD_BYTES = 24
STAT_USER = "stat"


def render_users(rights: Rights, passwords: Mapping[str, str]) -> str:
    """The `authorization` block: each role publishes and subscribes to its own subjects and nothing else
    (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/authorization).

    Raises KeyError for a role without a password."""
    users = ",\n".join(_render_user(role, passwords[role.name]) for role in rights.bus_users)
    system = json.dumps({"user": STAT_USER, "password": passwords[STAT_USER]})
    return (
        "# Made from RIGHTS.toml at each start of admin.\n"
        f"authorization {{\n  users = [\n{users}\n  ]\n}}\n"
        f"# For `qmailctl stat`: sees who is connected, and none of the mail.\n"
        f'accounts {{ "$SYS" {{ users = [ {system} ] }} }}\n'
    )


def _render_user(role: Role, password: str) -> str:
    # Listening is by name and inbox only; a subject with a group may be joined, not overheard.
    subscribe = (*role.subscribe, f"{role.inbox}.>")
    lines = [
        f"    {{ user: {json.dumps(role.name)}, password: {json.dumps(password)}, permissions: {{",
        f"      publish: {{ allow: {json.dumps(role.publish)} }},",
        f"      subscribe: {{ allow: {json.dumps(subscribe)} }}",
    ]
    if role.respond:
        lines[-1] += ","
        lines.append('      allow_responses: { max: 1, expires: "2m" }')
    return "\n".join(lines) + " } }"


def make_credentials(rights: Rights, directory_of: Callable[[str], Path], installer: Installer) -> None:
    """One file `<user>.bus` a user of the bus, where its role alone has it, and `bus.conf` for the server. Passwords
    are kept once made. Raises OSError, and ValueError for a credential file that holds something else."""
    passwords: dict[str, str] = {}
    owners = {role.name: role for role in rights.bus_users}
    owners[STAT_USER] = owners["admin"]
    for user, role in owners.items():
        path = directory_of(role.part_of or role.name) / f"{user}.bus"
        passwords[user] = _read_password(path, user) or secrets.token_urlsafe(PASSWORD_BYTES)
        installer.file(path, f"{user} {passwords[user]}\n".encode(), 0o400, role.credential_uid, role.gid)
    bus = rights.roles["bus"]
    path = directory_of("bus") / "bus.conf"
    installer.file(path, render_users(rights, passwords).encode(), 0o400, bus.uid, bus.gid)


def _read_password(path: Path, user: str) -> str | None:
    try:
        words = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    if len(words) != 2 or words[0] != user:
        raise ValueError(f"{path}: expected one line `{user} password`; remove the file to have it made anew")
    return words[1]
