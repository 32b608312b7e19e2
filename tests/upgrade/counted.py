"""Everything of an upgraded deployment counted: accounts, messages, UIDs, flags, files, the queue, what is delivered.

The same for `make run` and for containers; a Place says how each is reached.
"""

from __future__ import annotations

import hashlib
import imaplib
import poplib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest

from tests.support.deployment import eventually
from tests.upgrade.far_end import FarEnd, letter_of

# Nothing is tried before it was counted.
HELD_BACK = {"control/concurrencylocal": "0\n", "control/concurrencyremote": "0\n"}
ROUTES, WAITING = "control/smtproutes", "home/budi/.qmail-wait"


# The logs were uid 0's, before there was a role that keeps them.
LOG, OLD_LINE = "log/qmail/current", "@400000006b0463760146ec5f new msg 1\n"


class Place(Protocol):
    """One deployment."""

    host: str
    imap_port: int
    pop3_port: int

    def read(self, name: str) -> bytes:
        """A file, named as below QMAIL_DIR."""

    def write(self, name: str, text: str) -> None:
        """The same, edited by hand; an empty text removes it."""

    def queue(self) -> list[dict[str, Any]]:
        """The queue's entries."""

    def users(self) -> list[str]:
        """`qmailctl users`, homes below /home."""

    def restart_queue(self) -> None:
        """Return when the scheduler has taken the control files anew, and everything that waits is due."""


@contextmanager
def imap(place: Place, user: str, password: str) -> Iterator[imaplib.IMAP4]:
    """A session."""
    client = imaplib.IMAP4(place.host, place.imap_port, timeout=60)
    try:
        client.login(user, password)
        yield client
    finally:
        client.shutdown()


def folder(client: imaplib.IMAP4, name: str) -> dict[str, Any]:
    """What there is of a folder, in the manifest's form."""
    assert client.select(name, readonly=True)[0] == "OK", name
    status = client.status(name, "(UIDVALIDITY UIDNEXT)")[1][0].decode()
    rows = {}
    for row in client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(row, tuple):
            flags = re.findall(rb"FLAGS \((.*?)\)", row[0])[0].decode().split()
            rows[re.findall(rb"UID (\d+)", row[0])[0].decode()] = {
                "flags": sorted(flag for flag in flags if flag != r"\Recent"),
                # The first release had a blank where a zero stands now: the same day (RFC 3501 9, date-day-fixed).
                "date": re.sub("^0", " ", re.findall(rb'INTERNALDATE "(.*?)"', row[0])[0].decode()),
                "sha256": hashlib.sha256(row[1]).hexdigest(),
                "letter": letter_of(row[1]),
            }
    validity, following = (re.findall(rf"{word} (\d+)", status)[0] for word in ("UIDVALIDITY", "UIDNEXT"))
    return {"uidvalidity": validity, "uidnext": following, "messages": rows}


def accounts_are_all_there(place: Place, left: dict[str, Any]) -> None:
    """Everybody logs in by both doors but who was locked or has gone."""
    assert place.users() == left["users"]
    for user, password in left["passwords"].items():
        client = poplib.POP3(place.host, place.pop3_port, timeout=60)
        client.user(user)
        if user in left["locked"]:
            with pytest.raises(poplib.error_proto):
                client.pass_(password)
        else:
            assert client.pass_(password).startswith(b"+OK")
            client.quit()
            with imap(place, user, password) as session:
                assert session.noop()[0] == "OK"


def mailboxes_are_whole(place: Place, left: dict[str, Any], *, exactly: bool) -> None:
    """Every folder with UIDVALIDITY, UIDs, flags, keywords, dates and contents; what nobody had looked at comes after
    them. `exactly`: and nothing else."""
    for user, mailbox in left["mailboxes"].items():
        with imap(place, user, left["passwords"][user]) as client:
            listed = [
                re.findall(rb'"\." (.+)$', line)[0].decode() for line in client.list()[1] if isinstance(line, bytes)
            ]
            assert sorted(listed) == sorted(mailbox["folders"])
            subscribed = [re.findall(rb'"\." (.+)$', line)[0].decode() for line in client.lsub()[1] if line]
            assert sorted(subscribed) == mailbox["subscribed"]
            for name, was in mailbox["folders"].items():
                found = folder(client, name)
                assert found["uidvalidity"] == was["uidvalidity"], (user, name)
                new = {uid: row for uid, row in found["messages"].items() if uid not in was["messages"]}
                known = {uid: found["messages"].get(uid) for uid in was["messages"]}
                assert {uid: row and {k: row[k] for k in row if k != "letter"} for uid, row in known.items()} == was[
                    "messages"
                ], (user, name)
                assert all(int(uid) >= int(was["uidnext"]) for uid in new), (user, name)
                if exactly:
                    unseen = left["unseen"] if (user, name) == ("joni", '"INBOX"') else []
                    assert sorted(row["letter"] for row in new.values()) == unseen


def files_are_untouched(place: Place, left: dict[str, Any], edited: set[str]) -> None:
    """Control files, aliases, .qmail files, zone, certificate, ledger of uids."""
    found = {name: hashlib.sha256(place.read(name)).hexdigest() for name in left["files"] if name not in edited}
    assert found == {name: total for name, total in left["files"].items() if name not in edited}


def queue_is_whole(place: Place, left: dict[str, Any]) -> None:
    """Each message with who has it to come, who had it, and its attempts; nothing that had ended."""
    found = {entry["id"]: entry for entry in place.queue()}
    for was in left["queue"]:
        # A bounce that was under way is written at once: it is a message of its own by now, or soon.
        if was["bouncing"]:
            continue
        entry = found.pop(was["id"], None)
        assert entry is not None, was
        assert entry == was
    bounces = [entry for entry in found.values() if not entry["bouncing"]]
    assert [(entry["sender"], entry["left"]) for entry in bounces] in ([], [("", ["budi@xeris.com"])])


def everything_is_delivered_once(place: Place, left: dict[str, Any], far: FarEnd, route: str) -> None:
    """The control files as they were, but for the way to the far end and the account that could not take mail."""
    for name, text in left["held back"].items():
        place.write(name, text)
    place.write(ROUTES, route)
    place.write(WAITING, "./Maildir/\n")
    place.restart_queue()
    eventually(lambda: place.queue() == [], "an empty queue", 300)
    to_come = [(letter, to) for letter, recipients in left["to come"].items() for to in recipients]
    assert far.came == Counter(each for each in to_come if each[1].endswith("@far.test"))
    assert far.senders["verp", "later-a@far.test"] == "joni-list-later-a=far.test@xeris.com"
    assert far.senders["bounced", "later-sender@far.test"] in ("", "<>")
    came = {user: letters(place, left, user) for user in left["mailboxes"]}
    for letter, to in to_come:
        if to.endswith("@far.test"):
            continue
        # joni's list goes to joni and on to budi.
        for user in ("joni", "budi") if to.startswith("joni-list") else (to.partition("@")[0].partition("-")[0],):
            owner = "budi" if to.endswith("@virtual.test") else user
            assert came[owner][letter] == 1, (letter, to)
    for user, found in came.items():
        assert not [letter for letter, count in found.items() if count > 1], user
        assert not [letter for letter in found if letter.startswith("ended")], user


def letters(place: Place, left: dict[str, Any], user: str) -> Counter[str]:
    """What lies in an INBOX."""
    with imap(place, user, left["passwords"][user]) as client:
        return Counter(row["letter"] for row in folder(client, '"INBOX"')["messages"].values())


def the_log_is_written_on(place: Place) -> None:
    """What it held is there, and what happens now comes after it."""
    eventually(lambda: b"end msg" in place.read(LOG), "the log")
    assert place.read(LOG).decode().startswith(OLD_LINE)
