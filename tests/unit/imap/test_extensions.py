"""Extensions over the wire: what a client asks with them, and what it is answered."""

from __future__ import annotations

import os

from services.imap.mailbox.selected import MAX_CONTEXTS
from tests.support.imap_door import Deployment, Raw, own


def selected(deployment: Deployment, *messages: bytes) -> Raw:
    """A client of an INBOX that holds these messages, numbered from 1."""
    for number, message in enumerate(messages, 1):
        deployment.put(f"10537000{number:02}.M1P1.here:2,", message, "cur")
    client = deployment.raw().login()
    assert client.answers(b"SELECT INBOX")[-1].startswith(b"OK")
    return client


THREE = (
    b"Subject: beta\nDate: 3 Jan 2003 10:00 +0000\nMessage-ID: <1@x>\nFrom: Budi <z@x>\n\n",
    b"Subject: alpha\nDate: 2 Jan 2003 10:00 +0000\nMessage-ID: <2@x>\nFrom: Ari <y@x>\n\n",
    b"Subject: Re: beta\nDate: 4 Jan 2003 10:00 +0000\nReferences: <1@x>\nFrom: Citra <a@x>\n\n",
)


def test_sort_and_thread(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert client.answers(b"SORT (SUBJECT REVERSE DATE) UTF-8 ALL")[0] == b"* SORT 2 3 1"
    assert client.answers(b"UID SORT (DISPLAYFROM) UTF-8 NOT 2")[0] == b"* SORT 1 3"
    sorted_ends = client.answers(b"SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL")[0]
    assert sorted_ends == b'* ESEARCH (TAG "x") MIN 2 MAX 3 COUNT 3'
    assert client.answers(b"THREAD REFERENCES UTF-8 ALL")[0] == b"* THREAD (2)(1 3)"
    assert client.answers(b"UID THREAD ORDEREDSUBJECT US-ASCII SUBJECT beta")[0] == b"* THREAD (1 3)"
    assert client.answers(b"SORT (DATE) X-NONE ALL") == [b"NO [BADCHARSET (US-ASCII UTF-8)] Charset not supported."]
    assert client.answers(b"THREAD BOGUS UTF-8 ALL")[-1].startswith(b"BAD")


def test_parts_of_a_result(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert (
        client.answers(b"SEARCH RETURN (PARTIAL 3:2 COUNT) ALL")[0] == b'* ESEARCH (TAG "x") PARTIAL (2:3 2:3) COUNT 3'
    )
    assert client.answers(b"SEARCH RETURN (PARTIAL 9:10) ALL")[0] == b'* ESEARCH (TAG "x") PARTIAL (9:10 NIL)'
    last = client.answers(b"UID SORT RETURN (PARTIAL -1:-2) (SUBJECT REVERSE DATE) UTF-8 ALL")[0]
    assert last == b'* ESEARCH (TAG "x") UID PARTIAL (-1:-2 3,1)'
    assert client.answers(b"UID FETCH 1:* (UID) (PARTIAL -1:-2)")[:-1] == [b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 3)"]
    for bad in (b"PARTIAL 1", b"PARTIAL 1:*", b"PARTIAL 1:2 ALL", b"PARTIAL -1:2", b"PARTIAL 0:1", b"COUNT COUNT"):
        assert client.answers(b"SEARCH RETURN (" + bad + b") ALL")[-1].startswith(b"BAD"), bad
    assert client.answers(b"FETCH 1:* (UID) (PARTIAL 1:2)")[-1].startswith(b"BAD")


def test_the_saved_result(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert client.answers(b"SEARCH RETURN (SAVE) SUBJECT beta") == [b"OK SEARCH completed."]
    assert client.answers(b"FETCH $ (UID)")[:-1] == [b"* 1 FETCH (UID 1)", b"* 3 FETCH (UID 3)"]
    assert client.answers(b"SEARCH NOT $")[0] == b"* SEARCH 2"
    assert client.answers(b"UID SEARCH UID $ SUBJECT re:")[0] == b"* SEARCH 3"
    assert client.answers(b"SEARCH RETURN (SAVE MIN) ALL")[0] == b'* ESEARCH (TAG "x") MIN 1'
    assert client.answers(b"SEARCH $")[0] == b"* SEARCH 1"
    assert client.answers(b"STORE $ +FLAGS.SILENT (\\Deleted)")[-1].startswith(b"OK")
    assert client.answers(b"EXPUNGE")[0] == b"* 1 EXPUNGE"
    assert client.answers(b"FETCH $ (UID)") == [b"OK FETCH completed."]
    assert client.answers(b"SEARCH RETURN (SAVE) CHARSET X-NONE ALL")[-1].startswith(b"NO")
    assert client.answers(b"SEARCH $")[0] == b"* SEARCH"


def test_a_watched_result(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert client.answers(b"SEARCH RETURN (UPDATE) SEEN")[0] == b'* ESEARCH (TAG "x")'
    told = client.answers(b"STORE 1:2 +FLAGS.SILENT (\\Seen)")
    assert told == [b'* ESEARCH (TAG "x") ADDTO (0 1:2)', b"OK STORE completed."]
    told = client.answers(b"STORE 1 FLAGS.SILENT (\\Deleted)")
    assert told[0] == b'* ESEARCH (TAG "x") REMOVEFROM (0 1)'
    deployment.put("1053700009.M1P1.here:2,S", b"Subject: x\n\n", "cur")
    assert b'* ESEARCH (TAG "x") ADDTO (0 4)' in client.answers(b"NOOP")
    client.answers(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert client.answers(b"EXPUNGE")[:3] == [
        b'* ESEARCH (TAG "x") REMOVEFROM (0 2)', b"* 2 EXPUNGE", b"* 1 EXPUNGE",
    ]  # fmt: skip
    assert client.answers(b'CANCELUPDATE "x"') == [b"OK CANCELUPDATE completed."]
    assert client.answers(b"STORE 1:* -FLAGS.SILENT (\\Seen)") == [b"OK STORE completed."]


def test_a_watched_order_tells_places(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert (
        client.answers(b"UID SORT RETURN (ALL UPDATE) (DATE) UTF-8 UNSEEN")[0] == b'* ESEARCH (TAG "x") UID ALL 2,1,3'
    )
    assert client.answers(b"STORE 1 +FLAGS.SILENT (\\Seen)")[0] == b'* ESEARCH (TAG "x") UID REMOVEFROM (2 1)'
    assert client.answers(b"STORE 1 -FLAGS.SILENT (\\Seen)")[0] == b'* ESEARCH (TAG "x") UID ADDTO (2 1)'


def test_a_session_watches_so_many_results_and_no_more(deployment: Deployment) -> None:
    client = selected(deployment, THREE[0])
    for number in range(MAX_CONTEXTS):
        assert not any(b"NOUPDATE" in line for line in client.ask(b"t%d SEARCH RETURN (UPDATE) SEEN" % number))
    assert client.answers(b"SEARCH RETURN (UPDATE COUNT) ALL")[:2] == [
        b'* ESEARCH (TAG "x") COUNT 1', b'* NO [NOUPDATE "x"] Too many results are watched.',
    ]  # fmt: skip


def test_ages_and_dates_of_saving(deployment: Deployment) -> None:
    client = selected(deployment, *THREE[:2])
    os.utime(next((deployment.maildir / "cur").glob("1053700001.*")), (1_053_700_000, 1_053_700_000))
    assert client.answers(b"SEARCH OLDER 86400")[0] == b"* SEARCH 1"
    assert client.answers(b"SEARCH YOUNGER 86400")[0] == b"* SEARCH 2"
    assert client.answers(b"SEARCH SAVEDON 23-May-2003 SAVEDATESUPPORTED")[0] == b"* SEARCH 1 2"
    assert client.answers(b"FETCH 1 SAVEDATE")[0] == b'* 1 FETCH (SAVEDATE "23-May-2003 14:26:41 +0000")'
    assert client.answers(b"SEARCH OLDER 0")[-1].startswith(b"BAD")


def test_ids_of_messages_and_mailboxes(deployment: Deployment) -> None:
    client = selected(deployment, *THREE[:2])
    made = client.answers(b"CREATE INBOX.arsip")[-1]
    identity = made.partition(b"[MAILBOXID (")[2].partition(b")")[0]
    assert identity.startswith(b"F")
    assert client.answers(b"RENAME INBOX.arsip INBOX.lain")[-1].startswith(b"OK")
    assert client.answers(b"STATUS INBOX.lain (MAILBOXID)")[0] == b'* STATUS "INBOX.lain" (MAILBOXID (%b))' % identity
    first = client.answers(b"FETCH 1 (EMAILID THREADID)")[0]
    email = first.partition(b"EMAILID (")[2].partition(b")")[0]
    assert len(email) == 41 and first.endswith(b"THREADID NIL)")
    assert client.answers(b"COPY 1 INBOX.lain")[-1].startswith(b"OK")
    assert client.answers(b"SEARCH EMAILID " + email)[0] == b"* SEARCH 1"
    assert client.answers(b"SEARCH THREADID T1")[0] == b"* SEARCH"
    assert any(b"[MAILBOXID (%b)]" % identity in line for line in client.answers(b"SELECT INBOX.lain"))
    assert email in client.answers(b"FETCH 1 EMAILID")[0]


def test_sizes_and_previews(deployment: Deployment) -> None:
    page = b"Content-Type: text/html\n\n<head><title>no</title></head><p>Selamat <b>pagi</b> &amp; siang</p>\n"
    client = selected(deployment, b"Subject: x\n\n> dulu\nApa  kabar?\n", page, b"Content-Type: image/png\n\nxx\n")
    assert client.answers(b"FETCH 1:3 PREVIEW")[:-1] == [
        b'* 1 FETCH (PREVIEW "Apa kabar?")',
        b'* 2 FETCH (PREVIEW "Selamat pagi & siang")',
        b'* 3 FETCH (PREVIEW "")',
    ]
    sizes = [int(line.rpartition(b" ")[2][:-1]) for line in client.answers(b"FETCH 1:3 RFC822.SIZE")[:-1]]
    client.answers(b"STORE 1 +FLAGS (\\Deleted)")
    status = client.answers(b"STATUS INBOX (SIZE DELETED MESSAGES)")[0]
    assert status == b'* STATUS "INBOX" (SIZE %d DELETED 1 MESSAGES 3)' % sum(sizes)


def test_quota(deployment: Deployment) -> None:
    size = deployment.maildir / "maildirsize"
    client = selected(deployment, b"Subject: x\n\n" + b"x" * 88)
    assert client.answers(b"GETQUOTAROOT INBOX")[:2] == [b'* QUOTAROOT "INBOX" "ROOT"', b'* QUOTA "ROOT" ()']
    size.write_bytes(b"5000S,3C\n")
    own(size)
    assert client.answers(b'GETQUOTA "ROOT"')[0] == b'* QUOTA "ROOT" (STORAGE 1 5 MESSAGE 1 3)'
    assert client.answers(b"APPEND INBOX {6+}\r\nx: y\r\n")[-1].startswith(b"OK")
    assert client.answers(b"COPY 1 INBOX")[-1].startswith(b"OK")
    assert client.answers(b"COPY 1 INBOX")[-1] == b"NO [OVERQUOTA] You exceeded your mail quota."
    assert client.answers(b"APPEND INBOX {6+}\r\nx: y\r\n")[-1].startswith(b"NO [OVERQUOTA]")
    assert client.answers(b"STORE 1 +FLAGS (\\Deleted)")[-1].startswith(b"OK")
    assert size.read_bytes().endswith(b"%12d %12d\n" % (-100, -1))
    assert b"MESSAGE 2 3" in client.answers(b"GETQUOTA ROOT")[0]
    assert client.answers(b"EXPUNGE")[-1].startswith(b"OK")
    client.answers(b"CREATE INBOX.Trash")
    client.answers(b"MOVE 1 INBOX.Trash")
    assert b"MESSAGE 1 3" in client.answers(b"GETQUOTA ROOT")[0]
    assert client.answers(b"SETQUOTA ROOT (STORAGE 9)")[-1].startswith(b"NO [NOPERM]")
    assert client.answers(b"GETQUOTA x")[-1].startswith(b"NO")


def test_rights_are_the_owners(deployment: Deployment) -> None:
    client = deployment.raw().login()
    assert client.answers(b"GETACL INBOX")[0] == b'* ACL "INBOX" "joni" acdeiklprstwx'
    assert client.answers(b"MYRIGHTS INBOX")[0] == b'* MYRIGHTS "INBOX" acdeiklprstwx'
    assert client.answers(b"LISTRIGHTS INBOX joni")[0] == b'* LISTRIGHTS "INBOX" "joni" acdeiklprstwx'
    assert client.answers(b"LISTRIGHTS INBOX diva")[0] == b'* LISTRIGHTS "INBOX" "diva" ""'
    assert client.answers(b"SETACL INBOX diva lr")[-1] == b"NO [NOPERM] Rights are the owner's alone here."
    assert client.answers(b"DELETEACL INBOX diva")[-1].startswith(b"NO [NOPERM]")
    assert client.answers(b"MYRIGHTS INBOX.tiada")[-1].startswith(b"NO [NONEXISTENT]")


def test_lists_with_rights_and_for_old_programs(deployment: Deployment) -> None:
    client = deployment.raw().login()
    for name in (b"Archive", b"lain"):
        assert client.answers(b"CREATE INBOX." + name)[-1].startswith(b"OK")
    assert client.answers(b'LIST "" INBOX.% RETURN (MYRIGHTS SPECIAL-USE)')[:-1] == [
        b'* LIST (\\HasNoChildren \\Archive) "." "INBOX.Archive"',
        b'* MYRIGHTS "INBOX.Archive" acdeiklprstwx',
        b'* LIST (\\HasNoChildren) "." "INBOX.lain"',
        b'* MYRIGHTS "INBOX.lain" acdeiklprstwx',
    ]
    assert client.answers(b'XLIST "" "*"')[:-1] == [
        b'* XLIST (\\HasChildren \\Inbox) "." "INBOX"',
        b'* XLIST (\\HasNoChildren \\Archive) "." "INBOX.Archive"',
        b'* XLIST (\\HasNoChildren) "." "INBOX.lain"',
    ]
