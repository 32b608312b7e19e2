"""Whole dialogues over real sockets: real session, real handler, real Maildir."""

from __future__ import annotations

import asyncio
import imaplib
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.deployment import eventually
from tests.support.imap_door import Deployment, Raw, make_maildir, own

HELLO = b"From: ari@xeris.com\nSubject: satu\n\nisi\n"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_read_file_and_remove_with_imaplib(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    c = deployment.client()
    assert c.select("INBOX") == ("OK", [b"1"])
    status, data = c.fetch("1", "(FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
    assert status == "OK"
    assert isinstance(data[0], tuple)
    assert data[0][0].startswith(b'1 (FLAGS (\\Recent) UID 1 RFC822.SIZE 43 ENVELOPE (NIL "satu" ')
    assert data[0][1] == HELLO.replace(b"\n", b"\r\n")
    assert files(deployment.maildir / "cur") == ["1000000001.1.h:2,"]
    assert c.append("INBOX", r"(\Seen Kerja)", None, b"Subject: dua\r\n\r\nisi dua\r\n")[0] == "OK"
    c.noop()
    assert c.response("EXISTS")[1][-1] == b"2"
    assert c.fetch("2", "(FLAGS BODY[TEXT])")[1][0] == (
        b"2 (FLAGS (\\Seen Kerja \\Recent) BODY[TEXT] {9}", b"isi dua\r\n"
    )  # fmt: skip
    assert c.create("INBOX.Kerja.2004")[0] == "OK"
    assert c.list()[1] == [
        b'(\\HasChildren) "." "INBOX"',
        b'(\\Noselect \\HasChildren) "." "INBOX.Kerja"',
        b'(\\HasNoChildren) "." "INBOX.Kerja.2004"',
    ]
    status, data = c.copy("1:2", "INBOX.Kerja.2004")
    assert isinstance(data[0], bytes)
    assert status == "OK" and data[0].startswith(b"[COPYUID ") and data[0].endswith(b" 1:2 1:2] COPY completed.")
    assert c.status("INBOX.Kerja.2004", "(MESSAGES RECENT UIDNEXT UNSEEN)")[1] == [
        b'"INBOX.Kerja.2004" (MESSAGES 2 RECENT 2 UIDNEXT 3 UNSEEN 1)'
    ]
    assert c.store("1", "+FLAGS", r"(\Deleted)")[1] == [b"1 (FLAGS (\\Deleted \\Recent))"]
    assert c.expunge() == ("OK", [b"1"])
    assert c.search(None, "KEYWORD", "kerja") == ("OK", [b"1"])
    assert len(files(deployment.maildir / ".Kerja.2004" / "cur")) == 2
    assert c.logout()[0] == "BYE"


def test_two_sessions_see_each_others_changes_at_allowed_moments(deployment: Deployment) -> None:
    for number in range(1, 4):
        deployment.put(f"100000000{number}.1.h", HELLO)
    a, b = deployment.raw().login(), deployment.raw().login()
    assert b"* 3 RECENT\r\n" in a.ask(b"a SELECT INBOX")
    assert b"* 0 RECENT\r\n" in b.ask(b"b SELECT INBOX")
    a.ask(b"a STORE 1 +FLAGS.SILENT (\\Deleted)")
    a.ask(b"a STORE 2 +FLAGS (\\Flagged Penting)")
    assert b.ask(b"b NOOP") == [
        b"* FLAGS (Penting \\Draft \\Answered \\Flagged \\Deleted \\Seen)\r\n",
        b"* OK [PERMANENTFLAGS (Penting \\Draft \\Answered \\Flagged \\Deleted \\Seen \\*)] Limited.\r\n",
        b"* 1 FETCH (FLAGS (\\Deleted))\r\n",
        b"* 2 FETCH (FLAGS (\\Flagged Penting))\r\n",
        b"b OK NOOP completed.\r\n",
    ]
    assert a.ask(b"a EXPUNGE")[0] == b"* 1 EXPUNGE\r\n"
    # Numbers must not shift under FETCH, STORE and SEARCH; what is gone is said to be gone.
    assert b.ask(b"b FETCH 2 UID") == [b"* 2 FETCH (UID 2)\r\n", b"b OK FETCH completed.\r\n"]
    assert b.ask(b"b SEARCH ALL") == [b"* SEARCH 2 3\r\n", b"b OK SEARCH completed.\r\n"]
    assert b.ask(b"b FETCH 1 BODY.PEEK[]") == [b"b OK [EXPUNGEISSUED] Some messages are gone.\r\n"]
    assert b.ask(b"b STORE 1 +FLAGS (\\Seen)")[-1].startswith(b"b OK [EXPUNGEISSUED]")
    assert b.ask(b"b NOOP") == [b"* 1 EXPUNGE\r\n", b"b OK NOOP completed.\r\n"]
    assert b.ask(b"b FETCH 1 UID")[0] == b"* 1 FETCH (UID 2)\r\n"


def test_flags_changed_on_both_sides_at_once_are_merged(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    a, b = deployment.raw().login(), deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    b.ask(b"b SELECT INBOX")
    a.ask(b"a STORE 1 +FLAGS (\\Seen)")
    assert b.ask(b"b STORE 1 +FLAGS (\\Flagged)")[-2] == b"* 1 FETCH (FLAGS (\\Flagged \\Seen))\r\n"
    assert files(deployment.maildir / "cur") == ["1000000001.1.h:2,FS"]


def test_idle_hears_at_once_of_a_delivery_and_of_another_session(deployment: Deployment) -> None:
    a, b = deployment.raw().login(), deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    b.ask(b"b SELECT INBOX")
    a.send(b"i IDLE\r\n")
    assert a.line().startswith(b"+ ")
    deployment.put("1000000001.1.h", HELLO)
    deployment.announce()
    assert a.line() == b"* 1 EXISTS\r\n"
    assert a.line() == b"* 1 RECENT\r\n"
    b.ask(b"b NOOP")
    b.ask(b"b STORE 1 +FLAGS (\\Deleted)")
    assert a.line() == b"* 1 FETCH (FLAGS (\\Deleted \\Recent))\r\n"
    b.ask(b"b EXPUNGE")
    assert a.line() == b"* 1 EXPUNGE\r\n"
    a.send(b"DONE\r\n")
    assert a.until(b"i ")[-1] == b"i OK IDLE completed.\r\n"


def test_what_came_just_before_idle_is_told(deployment: Deployment) -> None:
    a = deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    deployment.put("1000000001.1.h", HELLO)
    a.send(b"i IDLE\r\n")
    assert a.until(b"* 1 EXISTS")[0].startswith(b"+ ")


def test_pipelined_commands_are_answered_in_order(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    a = deployment.raw()
    a.send(
        b"1 LOGIN joni rahasia\r\n2 SELECT INBOX\r\n3 IDLE\r\nDONE\r\n4 FETCH 1 BODY[TEXT]\r\n"
        b"5 APPEND INBOX {3+}\r\nabc\r\n6 NOOP\r\n7 LOGOUT\r\n"
    )
    lines = a.until(b"7 ")
    assert [line[:4] for line in lines if line[:1].isdigit()] == [b"%d OK" % n for n in range(1, 8)]
    assert a.line() == b""


def test_wrong_password_and_unreachable_auth(deployment: Deployment) -> None:
    a = deployment.raw()
    assert a.ask(b"a LOGIN joni salah") == [b"a NO [AUTHENTICATIONFAILED] Login failed.\r\n"]
    assert a.ask(b"b AUTHENTICATE PLAIN AGpvbmkAc2FsYWg=")[-1].startswith(b"b NO [AUTHENTICATIONFAILED]")
    deployment.answer.update(ok=False, temporary=True)
    assert a.ask(b"c LOGIN joni rahasia")[-1].startswith(b"c NO [UNAVAILABLE]")


def test_too_many_sessions_of_an_account_are_refused_until_one_ends(deployment: Deployment) -> None:
    (deployment.root / "control" / "concurrencyperuserip").write_text("2\n")
    first, second, third = (deployment.raw() for _ in range(3))
    first.login()
    second.login()
    assert third.ask(b"a LOGIN joni rahasia")[-1].startswith(b"a NO [LIMIT]")
    server = deployment.server
    assert server is not None
    second.close()
    eventually(lambda: len(server.connections) == 2, "the place of the second")
    third.login()


def test_a_byte_now_and_then_does_not_keep_a_place_before_the_log_in(deployment: Deployment) -> None:
    stranger, friend = deployment.raw(), deployment.raw().login()

    async def age() -> None:
        assert deployment.server is not None
        for connection in deployment.server.connections:
            connection.stay.since -= 601.0

    asyncio.run_coroutine_threadsafe(age(), deployment.loop).result(60)
    stranger.send(b"x")
    assert stranger.line().startswith(b"* BYE ")
    assert friend.ask(b"a NOOP")[-1].startswith(b"a OK")


def test_sasl_plain_both_ways(deployment: Deployment) -> None:
    a = deployment.raw()
    assert a.ask(b"a AUTHENTICATE PLAIN AGpvbmkAcmFoYXNpYQ==")[-1].startswith(b"a OK [CAPABILITY ")
    b = deployment.raw()
    b.send(b"b AUTHENTICATE PLAIN\r\n")
    assert b.line() == b"+ \r\n"
    b.send(b"AGpvbmkAcmFoYXNpYQ==\r\n")
    assert b.line().startswith(b"b OK")


def test_append_beyond_databytes_is_refused_before_and_after_the_octets(deployment: Deployment) -> None:
    (deployment.root / "control" / "databytes").write_text("100000\n")
    a = deployment.raw().login()
    assert a.ask(b"a APPEND INBOX {100001}")[-1].startswith(b"a NO [TOOBIG]")
    a.send(b"b APPEND INBOX {300000+}\r\n" + b"x" * 300000 + b"\r\nc NOOP\r\n")
    lines = a.until(b"c ")
    assert lines[0].startswith(b"b NO [TOOBIG]")
    assert lines[1] == b"c OK NOOP completed.\r\n"
    assert files(deployment.maildir / "cur") == files(deployment.maildir / "tmp") == []


def test_append_to_a_missing_folder_says_trycreate_before_the_octets(deployment: Deployment) -> None:
    a = deployment.raw().login()
    assert a.ask(b"a APPEND INBOX.tiada {10}")[-1].startswith(b"a NO [TRYCREATE]")
    a.ask(b"b SELECT INBOX")
    assert a.ask(b"c UID COPY 1 INBOX.tiada")[-1].startswith(b"c NO [TRYCREATE]")


def test_a_client_that_vanishes_in_the_middle_of_append_leaves_nothing(deployment: Deployment) -> None:
    a, b = deployment.raw().login(), deployment.raw().login()
    a.send(b"a APPEND INBOX {100}\r\n")
    assert a.line().startswith(b"+ ")
    a.send(b"half of it")
    a.close()
    while files(deployment.maildir / "tmp"):
        b.ask(b"b NOOP")
    assert b"* 0 EXISTS\r\n" in b.ask(b"b SELECT INBOX")


def test_append_keeps_the_octets_and_the_date_whatever_the_pieces(deployment: Deployment) -> None:
    message = b"Subject: x\r\n\r\n" + b"baris\r\n" * 30000 + b"tanpa akhir\r"
    a = deployment.raw().login()
    a.send(b'a APPEND INBOX (\\Draft) "17-Jul-1996 02:44:25 -0700" {%d+}\r\n' % len(message))
    for start in range(0, len(message), 65537):
        a.send(message[start : start + 65537])
    a.send(b"\r\n")
    assert a.line().startswith(b"a OK [APPENDUID ")
    a.ask(b"b SELECT INBOX")
    lines = a.ask(b"c FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])")
    assert lines[0].startswith(
        b'* 1 FETCH (FLAGS (\\Draft \\Recent) INTERNALDATE "17-Jul-1996 09:44:25 +0000" BODY[] {%d}' % len(message)
    )
    assert b"".join(lines[1:-1]) == message + b")\r\n"


def test_multiappend_is_all_or_nothing(deployment: Deployment) -> None:
    a = deployment.raw().login()
    a.send(b"a APPEND INBOX {3+}\r\nabc (\\Seen) {3+}\r\ndef\r\n")
    assert b" 1:2] APPEND completed." in a.line()
    a.send(b"b APPEND INBOX {3+}\r\nabc rusak\r\n")
    assert a.line().startswith(b"b BAD")
    a.send(b"c APPEND INBOX {3+}\r\nabc (\\Rusak) {3+}\r\ndef\r\n")
    assert a.line().startswith(b"c NO")
    assert len(files(deployment.maildir / "cur")) == 2
    assert files(deployment.maildir / "tmp") == []


def test_a_missing_maildir_is_a_clear_no_and_another_try_finds_it(deployment: Deployment) -> None:
    shutil.rmtree(deployment.maildir)
    a = deployment.raw().login()
    for command in (b"a SELECT INBOX", b'b LIST "" *', b"c APPEND INBOX {3+}\r\nabc", b"d STATUS INBOX (MESSAGES)"):
        assert b" NO [UNAVAILABLE] This account has no Maildir." in a.ask(command)[-1]
    make_maildir(deployment.maildir)
    assert a.ask(b"e SELECT INBOX")[-1].startswith(b"e OK")


@pytest.mark.root(reason="only root can make somebody else's Maildir")
def test_a_foreign_maildir_is_refused_and_untouched(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    for path in (deployment.maildir, *deployment.maildir.rglob("*")):
        os.chown(path, 0, 0)
    deployment.maildir.chmod(0o755)
    a = deployment.raw().login()
    assert b" NO [UNAVAILABLE] This account's Maildir belongs to somebody else." in a.ask(b"a SELECT INBOX")[-1]
    assert files(deployment.maildir / "new") == ["1000000001.1.h"]


@pytest.mark.root(reason="root makes files of somebody else")
def test_an_unreadable_message_is_no_and_the_session_goes_on(deployment: Deployment) -> None:
    path = deployment.put("1000000001.1.h", HELLO)
    os.chown(path, 0, 0)
    path.chmod(0o600)
    a = deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    assert a.ask(b"b FETCH 1 BODY[]")[-1].startswith(b"b NO [UNAVAILABLE]")
    assert a.ask(b"c FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS (\\Recent))\r\n"


def test_a_folder_deleted_by_another_session_empties(deployment: Deployment) -> None:
    a, b = deployment.raw().login(), deployment.raw().login()
    a.ask(b"a CREATE INBOX.x")
    a.ask(b"a APPEND INBOX.x {3+}\r\nabc")
    assert b"* 1 EXISTS\r\n" in b.ask(b"b SELECT INBOX.x")
    assert a.ask(b"a DELETE INBOX.x")[-1].startswith(b"a OK")
    assert b.ask(b"b NOOP")[0] == b"* 1 EXPUNGE\r\n"
    assert b.ask(b"b FETCH 1:* UID")[-1].startswith(b"b OK")
    assert a.ask(b"a SELECT INBOX.x")[-1].startswith(b"a NO [NONEXISTENT]")


def test_renaming_inbox_moves_its_mail(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    a = deployment.raw().login()
    assert a.ask(b"a RENAME INBOX INBOX.lama")[-1].startswith(b"a OK")
    assert b"* 0 EXISTS\r\n" in a.ask(b"b SELECT INBOX")
    assert b"* 1 EXISTS\r\n" in a.ask(b"c SELECT INBOX.lama")


def test_move_tells_copyuid_and_expunge(deployment: Deployment) -> None:
    for number in range(1, 4):
        deployment.put(f"100000000{number}.1.h", HELLO)
    a = deployment.raw().login()
    a.ask(b"a CREATE INBOX.Trash")
    a.ask(b"b SELECT INBOX")
    lines = a.ask(b"c UID MOVE 1,3 INBOX.Trash")
    assert lines[0].startswith(b"* OK [COPYUID ") and b" 1,3 1:2]" in lines[0]
    assert lines[1:] == [b"* 3 EXPUNGE\r\n", b"* 1 EXPUNGE\r\n", b"* 1 RECENT\r\n", b"c OK UID MOVE completed.\r\n"]
    assert a.ask(b'd LIST (SPECIAL-USE) "" *')[0] == b'* LIST (\\HasNoChildren \\Trash) "." "INBOX.Trash"\r\n'


def test_examine_changes_nothing(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    a = deployment.raw().login()
    lines = a.ask(b"a EXAMINE INBOX")
    assert b"* 1 RECENT\r\n" in lines
    assert lines[-1] == b"a OK [READ-ONLY] EXAMINE completed.\r\n"
    a.ask(b"b FETCH 1 BODY[]")
    for command in (b"c STORE 1 +FLAGS (\\Deleted)", b"d EXPUNGE", b"e MOVE 1 INBOX"):
        assert a.ask(command)[-1].split(b" ")[1] == b"NO"
    assert files(deployment.maildir / "new") == ["1000000001.1.h"]


def test_uids_live_through_logout_and_a_message_keeps_one_uid(deployment: Deployment) -> None:
    deployment.put("1000000002.1.h", HELLO)
    first = deployment.raw().login().ask(b"a SELECT INBOX")
    deployment.put("1000000001.1.h", HELLO)
    b = deployment.raw().login()
    second = b.ask(b"a SELECT INBOX")
    assert [line for line in first if b"UIDVALIDITY" in line] == [line for line in second if b"UIDVALIDITY" in line]
    assert b.ask(b"b FETCH 1:2 UID")[:2] == [b"* 1 FETCH (UID 1)\r\n", b"* 2 FETCH (UID 2)\r\n"]
    assert files(deployment.maildir / "cur") == ["1000000001.1.h:2,", "1000000002.1.h:2,"]


def test_the_cache_may_be_damaged_or_deleted_at_any_time(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    command = b"b UID FETCH 1 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)"
    answers = []
    for damage in (
        lambda p: None,
        lambda p: p.write_bytes(p.read_bytes()[:-9]),
        lambda p: p.write_bytes(b"x"),
        Path.unlink,
    ):
        a = deployment.raw().login()
        a.ask(b"a SELECT INBOX")
        answers.append(a.ask(command))
        a.close()
        cached = [path for path in (deployment.root / "imapcache").rglob("*") if path.is_file()]
        assert len(cached) == 1
        assert cached[0].stat().st_mode & 0o777 == 0o600, "nobody else's to read"
        damage(cached[0])
    assert answers[0] == answers[1] == answers[2] == answers[3]


def test_a_large_message_is_streamed_exactly(deployment: Deployment) -> None:
    body = os.urandom(3 * 1024 * 1024).replace(b"\r", b"x").replace(b"\0", b"y")
    deployment.put("1000000001.1.h", b"Subject: besar\n\n" + body)
    a = deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    expected = (b"Subject: besar\n\n" + body).replace(b"\n", b"\r\n")
    a.send(b"b FETCH 1 (RFC822.SIZE BODY.PEEK[])\r\n")
    head = a.line()
    assert head == b"* 1 FETCH (RFC822.SIZE %d BODY[] {%d}\r\n" % (len(expected), len(expected))
    assert a.file.read(len(expected)) == expected
    assert a.until(b"b ")[-1] == b"b OK FETCH completed.\r\n"


def test_search_errors_and_esearch(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h", HELLO)
    a = deployment.raw().login()
    a.ask(b"a SELECT INBOX")
    for charset in (b"x-tiada", b"X-UNKNOWN", b"unknown-8bit"):
        assert a.ask(b"b SEARCH CHARSET " + charset + b" ALL")[-1].startswith(b"b NO [BADCHARSET")
    assert a.ask(b"c SEARCH TIADA")[-1].startswith(b"c BAD")
    assert a.ask(b"d UID SEARCH RETURN (MIN COUNT) FROM ari")[0] == b'* ESEARCH (TAG "d") UID MIN 1 COUNT 1\r\n'
    assert a.ask(b"e FETCH 5 UID")[-1].startswith(b"e BAD")


def test_subscriptions_are_in_couriers_file(deployment: Deployment) -> None:
    (deployment.maildir / "courierimapsubscribed").write_bytes(b"INBOX\nINBOX.tiada\n")
    own(deployment.maildir)
    a = deployment.raw().login()
    a.ask(b"a SUBSCRIBE INBOX.Kerja")
    a.ask(b"b UNSUBSCRIBE INBOX")
    assert a.ask(b'c LSUB "" *')[:-1] == [b'* LSUB () "." "INBOX.tiada"\r\n', b'* LSUB () "." "INBOX.Kerja"\r\n']
    assert (deployment.maildir / "courierimapsubscribed").read_bytes() == b"INBOX.tiada\nINBOX.Kerja\n"


def test_keywords_are_in_couriers_files(deployment: Deployment) -> None:
    deployment.put("1000000001.1.h:2,S", HELLO, "cur")
    keywords = deployment.maildir / "courierimapkeywords"
    keywords.mkdir()
    (keywords / ":list").write_bytes(b"Baru\nKerja\n\n1000000001.1.h:1\n")
    own(deployment.maildir)
    a = deployment.raw().login()
    assert a.ask(b"a SELECT INBOX")[0] == b"* FLAGS (Baru Kerja \\Draft \\Answered \\Flagged \\Deleted \\Seen)\r\n"
    assert a.ask(b"b STORE 1 +FLAGS (baru)")[0] == b"* 1 FETCH (FLAGS (\\Seen Baru Kerja))\r\n"
    assert (keywords / "1000000001.1.h").read_bytes() == b"Baru\nKerja\n"
    assert a.ask(b"c STORE 1 FLAGS ()")[0] == b"* 1 FETCH (FLAGS ())\r\n"


def test_ten_bad_commands_end_the_connection(deployment: Deployment) -> None:
    a: Raw = deployment.raw()
    for _ in range(10):
        a.send(b"x RUSAK\r\n")
    lines = a.file.readlines()
    assert len(lines) == 11
    assert lines[-1].startswith(b"* BYE")


def test_bad_commands_are_counted_in_a_row(deployment: Deployment) -> None:
    a = deployment.raw().login()
    for number in range(30):
        assert a.ask(b"x RUSAK")[-1].startswith(b"x BAD")
        if number % 9 == 8:
            assert a.ask(b"b NOOP")[-1].startswith(b"b OK")


def test_wrong_passwords_are_counted_whatever_goes_well_between(deployment: Deployment) -> None:
    a = deployment.raw()
    for _ in range(9):
        assert a.ask(b"a LOGIN joni salah")[-1].startswith(b"a NO [AUTHENTICATIONFAILED]")
        assert a.ask(b"b NOOP")[-1].startswith(b"b OK")
    a.send(b"a LOGIN joni salah\r\n")
    assert a.file.readlines()[-1].startswith(b"* BYE")


def test_an_overlong_line_is_bad_and_the_session_goes_on(deployment: Deployment) -> None:
    a = deployment.raw().login()
    assert a.ask(b"a SEARCH " + b"x" * 70000)[-1].startswith(b"a BAD")
    assert a.ask(b"b NOOP")[-1].startswith(b"b OK")


def test_imaplib_refuses_nothing_we_send(deployment: Deployment) -> None:
    client = deployment.client()
    assert client.namespace()[1] == [b'(("INBOX." ".")) NIL NIL']
    assert client.lsub()[0] == "OK"
    assert client.enable("CONDSTORE")[0] == "OK"
    with pytest.raises(imaplib.IMAP4.error):
        client.starttls()


def test_what_the_client_cannot_mend_is_in_the_log(deployment: Deployment) -> None:
    """And what it can is not: a missing folder is nothing to an administrator."""
    (deployment.root / "control" / "databytes").write_text("1000\n")
    a = deployment.raw().login()
    assert b"[NONEXISTENT]" in a.ask(b"a SELECT INBOX.tiada")[-1]
    assert b"[TOOBIG]" in a.ask(b"b APPEND INBOX {2000}")[-1]
    shutil.rmtree(deployment.maildir / "cur")
    assert b"[UNAVAILABLE]" in deployment.raw().login().ask(b"a SELECT INBOX")[-1]
    eventually(lambda: "SELECT" in "".join(deployment.logged), "the refusals in the log")
    lines = re.findall(r"refused .*", "".join(deployment.logged))
    assert [line.split(": ")[:2] for line in lines] == [
        ["refused message joni", "APPEND"],
        ["refused file joni", str(deployment.maildir / "cur")],
        ["refused command joni", "SELECT"],
    ]
