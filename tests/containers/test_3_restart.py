"""`docker compose down` and `up` again: mail, accounts, UIDs and the queue are all there."""

from __future__ import annotations

import imaplib
import json
import re
import subprocess

from services.admin.rights import read_rights
from tests.support.deployment import ROLES, Deployment, eventually


def letter(subject: str) -> str:
    return f"Subject: {subject}\n\nkept\n"


def identity(client: imaplib.IMAP4_SSL) -> tuple[bytes, dict[bytes, bytes]]:
    """UIDVALIDITY, and each message's UID with its header."""
    _, (status,) = client.status("INBOX", "(UIDVALIDITY)")
    (validity,) = re.findall(rb"UIDVALIDITY (\d+)", status)
    _, data = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER])")
    rows = [row for row in data if isinstance(row, tuple)]
    return validity, {re.findall(rb"UID (\d+)", head)[0]: body for head, body in rows}


def messages_in_queue(deployment: Deployment) -> int:
    """-1 where the queue does not answer."""
    found = re.search(r"messages in queue: (\d+)", deployment.try_run("admin", "qmailctl", "stat").stdout)
    return int(found[1]) if found else -1


def test_down_and_up_keep_mail_accounts_uids_and_the_queue(xeris: Deployment) -> None:
    for number in range(3):
        xeris.send("budi@xeris.com", ["budi@xeris.com"], letter(f"before {number}"))
        xeris.message_with("budi", "budi-password", b"Subject: before %d" % number)
    # Whatever was on its way to this mailbox is counted too.
    eventually(lambda: messages_in_queue(xeris) == 0, "an empty queue")
    with xeris.imap("budi", "budi-password") as client:
        validity, messages = identity(client)

    xeris.control("stop", "delivery-local")
    xeris.send("joni@xeris.com", ["budi@xeris.com"], letter("queued"))
    eventually(lambda: messages_in_queue(xeris) == 1, "a queued message")

    xeris.control("down")
    xeris.control("up", "--wait")

    xeris.message_with("budi", "budi-password", b"Subject: queued")
    with xeris.imap("budi", "budi-password") as client:
        validity_after, messages_after = identity(client)
    assert validity_after == validity
    assert messages_after.items() >= messages.items()
    assert len(messages_after) == len(messages) + 1
    listed = xeris.run("admin", "qmailctl", "users")
    assert [line.split(":")[0] for line in listed.splitlines()] == ["ari", "joni", "budi"]


def test_roles_that_are_killed_are_started_again(xeris: Deployment) -> None:
    before = xeris.control("ps", "--quiet")
    ran_since = started_at(before.split())
    killed = [
        role for role in read_rights().roles.values() if role.program and not role.part_of and role.name != "admin"
    ]
    for role in killed:
        xeris.try_run(role.name, "sh", "-c", "kill -KILL -1", user=f"{role.uid}:{role.gid}")

    def all_started_again() -> bool:
        runs_since = started_at(before.split())
        return all(runs_since[role.name] != ran_since[role.name] for role in killed)

    # Before that a role's health is still what it was before its end.
    eventually(all_started_again, "every role is started again")
    eventually(lambda: healthy(xeris), "every role is healthy again")
    assert xeris.control("ps", "--quiet") == before
    xeris.send("joni@xeris.com", ["budi@xeris.com"], letter("after the kill"))
    xeris.message_with("budi", "budi-password", b"Subject: after the kill")


def started_at(containers: list[str]) -> dict[str, str]:
    """Role -> when its container was started last."""
    form = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.StartedAt}}'
    command = ["docker", "inspect", "--format", form, *containers]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return dict(line.split() for line in said.splitlines())


def healthy(deployment: Deployment) -> bool:
    rows = [json.loads(line) for line in deployment.control("ps", "--format", "json").splitlines()]
    return all(row["Health"] == "healthy" for row in rows) and len(rows) == len(ROLES)
