"""Whole dialogues over real sockets with Python's own client."""

from __future__ import annotations

from tests.support.imap_door import Deployment


def test_smoke(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", b"From: ari@xeris.com\nSubject: satu\n\nisi\n")
    c = deployment.client()
    print(c.capability())
    print(c.select("INBOX"))
    print(c.fetch("1", "(FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE BODY.PEEK[])"))
    print(c.search(None, "ALL"))
    print(c.append("INBOX", r"(\Seen Kerja)", None, b"Subject: dua\r\n\r\nisi dua\r\n"))
    print(c.noop())
    print(c.response("EXISTS"))
    print(c.fetch("1:*", "(FLAGS BODY[TEXT])"))
    print(c.create("INBOX.Kerja.2004"))
    print(c.list())
    print(c.copy("1:2", "INBOX.Kerja.2004"))
    print(c.status("INBOX.Kerja.2004", "(MESSAGES RECENT UIDNEXT UNSEEN)"))
    print(c.store("1", "+FLAGS", r"(\Deleted)"))
    print(c.expunge())
    print(c.uid("SEARCH", "RETURN (MIN MAX COUNT ALL)", "SUBJECT", "dua"), c.response("ESEARCH"))
    print(c.subscribe("INBOX.Kerja"), c.lsub())
    print(c.logout())
    assert 0
