"""A delivery to a Maildir with a quota: what the sender, and what the user, is told."""

from __future__ import annotations

import os
from pathlib import Path

from qmail.accounts.identity import ActingPool
from qmail.message.address import Address
from services.delivery.local.answer import Answerer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.outcome import deferral, success
from tests.unit.delivery_local.conftest import Deployment


def limit(deployment: Deployment, text: bytes) -> Path:
    return deployment.write("joni", "Maildir/maildirsize", text)


def rcpt(deployment: Deployment, address: bytes) -> str:
    async def work(_: LocalDelivery, pool: ActingPool) -> str:
        return (await Answerer(deployment.lookup(), pool).look_up(Address(address))).value

    return str(deployment.using(work))


def test_what_has_room_is_stored_and_counted(deployment: Deployment) -> None:
    path = limit(deployment, b"100000S,9C\n           0            0\n")
    assert deployment.deliver(b"joni@xeris.com") == success(b"did 1+0+0\n")
    (mail,) = deployment.mails("joni")
    assert path.read_bytes().splitlines()[-1] == b"%12d %12d" % (len(mail), 1)
    assert rcpt(deployment, b"joni@xeris.com") == "ok"


def test_what_has_none_waits(deployment: Deployment) -> None:
    limit(deployment, b"10S\n           9            1\n")
    assert deployment.deliver(b"joni@xeris.com") == deferral(b"Over quota on maildir delivery. (#4.2.2)\n")
    assert deployment.mails("joni") == []


def test_a_full_mailbox_is_told_at_rcpt(deployment: Deployment) -> None:
    path = limit(deployment, b"1C\n           9            1\n")
    assert deployment.deliver(b"joni@xeris.com").text.startswith(b"Over quota")
    assert rcpt(deployment, b"joni@xeris.com") == "quota"
    assert rcpt(deployment, b"ari@xeris.com") == "ok"
    deployment.write("joni", ".qmail", b"&ari\n")
    assert rcpt(deployment, b"joni@xeris.com") == "ok", "nothing of it comes into the full Maildir"
    path.unlink()


def test_a_folder_counts_and_trash_does_not(deployment: Deployment) -> None:
    for folder in (".arsip", ".Trash"):
        deployment.make_maildir("joni", f"Maildir/{folder}")
    limit(deployment, b"1C\n           9            1\n")
    deployment.write("joni", ".qmail", b"./Maildir/.arsip/\n")
    assert deployment.deliver(b"joni@xeris.com") == deferral(b"Over quota on maildir delivery. (#4.2.2)\n")
    deployment.write("joni", ".qmail", b"./Maildir/.Trash/\n")
    assert deployment.deliver(b"joni@xeris.com") == success(b"did 1+0+0\n")


def test_at_nine_tenths_one_mail_a_day_says_so(deployment: Deployment) -> None:
    limit(deployment, b"10C\n           0            8\n")
    deployment.deliver(b"joni@xeris.com")
    warnings = [mail for mail in deployment.mails("joni") if b"Subject: Your mailbox is 90% full" in mail]
    assert len(warnings) == 1
    for path in (deployment.home("joni") / "Maildir/new").iterdir():
        path.unlink()
    limit(deployment, b"10C\n           0            8\n")
    deployment.deliver(b"joni@xeris.com")
    assert len(deployment.mails("joni")) == 1, "no second one on the same day"
    old = os.stat(deployment.home("joni") / "Maildir/quotawarn").st_mtime - 2 * 86400
    os.utime(deployment.home("joni") / "Maildir/quotawarn", (old, old))
    limit(deployment, b"10C\n           0            9\n")
    for path in (deployment.home("joni") / "Maildir/new").iterdir():
        path.unlink()
    deployment.deliver(b"joni@xeris.com")
    assert len(deployment.mails("joni")) == 2
