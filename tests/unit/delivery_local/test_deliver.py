"""Whole local deliveries: what the user finds, what the sender is told, and what happens again after a failure."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from dataclasses import replace

import pytest

from qmail.accounts.identity import ActingPool
from qmail.bus import subjects
from services.delivery.local.deliver import LocalDelivery
from services.delivery.outcome import Kind, Outcome, deferral, failure, success
from tests.unit.delivery_local.conftest import MESSAGE, PER_USER, PREFIX, USERS, Deployment, is_gone

needs_root = pytest.mark.root(reason="only root has users")
HEAD = b"Return-Path: <ari@xeris.com>\nDelivered-To: joni@xeris.com\n"


def test_without_a_dot_qmail_mail_goes_to_the_maildir(deployment: Deployment) -> None:
    assert deployment.deliver(b"joni@xeris.com") == success(b"did 1+0+0\n")
    (path,) = (deployment.home("joni") / "Maildir/new").iterdir()
    assert path.name == "1054052944.420000.mail.xeris.com"
    assert path.read_bytes() == HEAD + PREFIX + MESSAGE
    if PER_USER:
        assert (path.stat().st_uid, path.stat().st_gid) == (USERS["joni"], USERS["joni"])
        assert path.stat().st_mode & 0o777 == 0o600


def test_deliveries_side_by_side_are_each_their_own_user_s(deployment: Deployment) -> None:
    # Homes are 0700: whoever acted as the neighbour would not even get in.
    deployment.write("ari", ".qmail", b"./Maildir/\n|exit 0\n")
    deployment.write("diva", ".qmail", b"|exit 100\n")
    names = [b"joni", b"ari", b"diva", b"joni", b"ari", b"joni"]
    bodies = [b"Subject: %d\n\n" % number for number in range(len(names))]

    async def work(local: LocalDelivery, _: ActingPool) -> list[Outcome]:
        deliveries = [deployment.delivery(name + b"@xeris.com", body) for name, body in zip(names, bodies, strict=True)]
        numbered = [replace(each, job=replace(each.job, number=number)) for number, each in enumerate(deliveries)]
        return list(await asyncio.gather(*map(local.deliver, numbered)))

    outcomes = deployment.using(work)
    assert isinstance(outcomes, list)
    done, both, refused = success(b"did 1+0+0\n"), success(b"did 1+0+1\n"), failure(b"")
    assert outcomes == [done, both, refused, done, both, done]
    assert [len(deployment.mails(user)) for user in ("joni", "ari", "diva")] == [3, 2, 0]
    if PER_USER:
        for user in ("joni", "ari"):
            owners = {path.stat().st_uid for path in (deployment.home(user) / "Maildir/new").iterdir()}
            assert owners == {USERS[user]}


def test_control_defaultdelivery_is_for_who_has_no_dot_qmail(deployment: Deployment) -> None:
    (deployment.root / "control/defaultdelivery").write_bytes(b"# ours\n./Mailbox\n")
    assert deployment.deliver(b"joni@xeris.com") == success(b"did 1+0+0\n")
    assert PREFIX + MESSAGE + b"\n" in (deployment.home("joni") / "Mailbox").read_bytes()


def test_a_repeated_delivery_leaves_one_copy_in_each_maildir(deployment: Deployment) -> None:
    deployment.make_maildir("joni", "Other")
    deployment.write("joni", ".qmail", b"./Maildir/\n./Other/\n./Maildir//\n")
    assert deployment.deliver(b"joni@xeris.com", times=3) == success(b"did 3+0+0\n")
    assert len(deployment.mails("joni")) == 2  # the two lines that name it
    assert len(deployment.mails("joni", "Other")) == 1


def test_a_copy_that_was_read_meanwhile_is_not_made_again(deployment: Deployment) -> None:
    maildir = deployment.home("joni") / "Maildir"

    def read() -> None:
        for path in (maildir / "new").iterdir():
            path.rename(maildir / "cur" / f"{path.name}:2,S")

    assert deployment.deliver(b"joni@xeris.com", times=2, between=read) == success(b"did 1+0+0\n")
    assert not list((maildir / "new").iterdir()) and len(list((maildir / "cur").iterdir())) == 1


def test_a_maildir_that_was_filled_before_a_failing_program_is_not_filled_twice(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"./Maildir/\n|echo later; exit 111\n&diva\n")
    assert deployment.deliver(b"joni@xeris.com", times=2) == deferral(b"later\n")
    assert len(deployment.mails("joni")) == 1
    assert deployment.submitted() == []


def test_a_large_message_is_streamed_and_leaves_no_file_behind(deployment: Deployment) -> None:
    body = MESSAGE + b"0123456789abcde\n" * 100_000
    deployment.write("joni", ".qmail", b"./Maildir/\n|wc -c\n|head -c 9\n&diva@xeris.com\n")
    outcome = deployment.deliver(b"joni@xeris.com", body, large=True)
    assert outcome.kind is Kind.SUCCESS
    size = len(PREFIX) + len(body)
    assert outcome.text.startswith(b"%d\nReceived:did 1+1+2\nqp " % size)
    assert deployment.mails("joni") == [HEAD + PREFIX + body]
    assert {p.name for p in deployment.home("joni").iterdir()} == {"Maildir", ".qmail"}
    (put,) = deployment.submitted()
    assert put.envelope.size_bytes == len(body)


# Whose mail it is.


def test_an_extension_is_looked_for_in_the_users_home(deployment: Deployment) -> None:
    deployment.make_maildir("joni", "List")
    deployment.write("joni", ".qmail-list-default", b"|echo $EXT $DEFAULT\n./List/\n")
    assert deployment.deliver(b"joni-List-A.b@xeris.com") == success(b"List-A.b A.b\ndid 1+0+1\n")


def test_a_name_without_an_account_is_the_aliass(deployment: Deployment) -> None:
    deployment.write("alias", ".qmail-root", b"&ari\n", 0o644)
    outcome = deployment.deliver(b"root@xeris.com")
    assert outcome.text.startswith(b"did 0+1+0\nqp ")
    (put,) = deployment.submitted()
    assert put.envelope.prefix.startswith(b"Received: (qmail %d invoked by alias); " % put.envelope.id)
    assert b"\nDelivered-To: root@xeris.com\n" + PREFIX in put.envelope.prefix
    assert deployment.deliver(b"sarah@xeris.com") == failure(b"Sorry, no mailbox here by that name. (#5.1.1)\n")


def test_an_8_bit_local_part_reaches_its_file(deployment: Deployment) -> None:
    name = os.fsdecode(b".qmail-caf\xe9")
    deployment.make_maildir("joni", "Cafe")
    deployment.write("joni", name, b"./Cafe/\n")
    assert deployment.deliver(b"joni-caf\xe9@xeris.com") == success(b"did 1+0+0\n")
    assert b"Delivered-To: joni-caf\xe9@xeris.com\n" in deployment.mails("joni", "Cafe")[0]


@pytest.mark.parametrize("local", [b"joni-../../diva/.qmail", b"joni-\0x", b"joni-" + b"x" * 300, b"joni-/etc/passwd"])
def test_an_odd_extension_delivers_nothing(deployment: Deployment, local: bytes) -> None:
    outcome = deployment.deliver(local + b"@xeris.com")
    assert outcome.kind is not Kind.SUCCESS
    assert all(deployment.mails(user) == [] for user in USERS)


# Forwards.


def test_forwards_become_one_message_by_the_user(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"&diva@xeris.com\n./Maildir/\nari@x.org\n")
    outcome = deployment.deliver(b"joni@xeris.com")
    (put,) = deployment.submitted()
    assert outcome == success(b"did 1+2+0\nqp %d\n" % put.envelope.id)
    assert [r.address.raw for r in put.envelope.recipients] == [b"diva@xeris.com", b"ari@x.org"]
    assert put.envelope.sender.raw == b"ari@xeris.com"
    uid = USERS["joni"] if PER_USER else os.getuid()
    assert put.envelope.origin.uid == uid
    assert put.envelope.prefix.startswith(b"Received: (qmail %d invoked by uid %d); " % (put.envelope.id, uid))
    assert put.envelope.prefix.endswith(b"\nDelivered-To: joni@xeris.com\n" + PREFIX)
    assert put.body == MESSAGE
    assert put.envelope.parameters.body_type == "8BITMIME"


def test_a_list_with_an_owner_gets_the_bounces(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail-list", b"&a@x.org\n")
    deployment.write("joni", ".qmail-list-owner", b"")
    deployment.deliver(b"joni-list@xeris.com")
    assert deployment.submitted()[0].envelope.sender.raw == b"joni-list-owner@xeris.com"


def test_a_full_queue_or_a_dead_bus_defers_the_forward(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"&diva\n")
    deployment.bus.streams[subjects.IN].max_bytes = 10
    assert deployment.deliver(b"joni@xeris.com") == deferral(
        b"Unable to forward message: qq write error or disk full (#4.3.0).\n"
    )
    deployment.bus.connected = False
    assert deployment.deliver(b"joni@xeris.com") == deferral(
        b"Unable to forward message: qq temporary problem (#4.3.0).\n"
    )


@pytest.mark.parametrize("octet", [*(octet for octet in range(1, 0x20) if octet != 10), 0x7F])
def test_a_forward_to_an_address_with_control_characters_fails(deployment: Deployment, octet: int) -> None:
    deployment.write("joni", ".qmail-odd", b"&x" + bytes([octet]) + b"y@far.org\n")
    assert deployment.deliver(b"joni-odd@xeris.com") == failure(
        b"Unable to forward message: envelope address with control characters (#5.1.3).\n"
    )
    assert deployment.submitted() == []


def test_a_forward_to_an_endless_address_fails(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"&" + b"x" * 1004 + b"\n")
    assert deployment.deliver(b"joni@xeris.com").kind is Kind.FAILURE
    assert deployment.submitted() == []


def test_a_message_that_comes_back_is_stopped(deployment: Deployment) -> None:
    looped = b"Delivered-To: joni@xeris.com\n" + MESSAGE
    assert deployment.deliver(b"joni@xeris.com", looped).kind is Kind.FAILURE
    assert deployment.deliver(b"joni@xeris.com", looped, large=True).kind is Kind.FAILURE
    assert deployment.mails("joni") == []


# Programs.


@needs_root
def test_a_program_is_its_user_and_has_no_other_right(deployment: Deployment) -> None:
    command = b"|id -u; id -g; id -G; umask; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status\n"
    deployment.write("joni", ".qmail", command + b"|cat %s/diva/x 2>&1 | grep -o 'denied'\n" % bytes(deployment.root))
    deployment.write("diva", "x", b"secret")
    zeros = b"".join(b"Cap%s:\t0000000000000000\n" % name for name in (b"Inh", b"Prm", b"Eff", b"Amb"))
    joni = b"%d\n" % USERS["joni"]
    assert deployment.deliver(b"joni@xeris.com") == success(
        joni * 3 + b"0077\n" + zeros + b"NoNewPrivs:\t1\ndenied\ndid 0+0+2\n"
    )


def test_a_program_that_takes_too_long_is_killed_with_its_children(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"./Maildir/\n|sleep 300 & echo $! > pid; sleep 300\n")
    started = time.monotonic()
    outcome = deployment.deliver(b"joni@xeris.com", seconds=3)
    assert outcome == deferral(b"Program took too long and was ended. (#4.3.0)\n")
    assert time.monotonic() - started < 120
    assert is_gone(int((deployment.home("joni") / "pid").read_text()))


def test_what_a_program_prints_is_bounded(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"|yes | head -c 1000000; exit 100\n")
    outcome = deployment.deliver(b"joni@xeris.com")
    assert outcome.kind is Kind.FAILURE
    assert len(outcome.text) <= 3000
    assert outcome.text.endswith(b"\nError report too long, sorry.\n")


def test_a_program_in_the_background_does_not_hold_up_the_delivery(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"|sleep 300 & echo $! > pid\n")
    started = time.monotonic()
    assert deployment.deliver(b"joni@xeris.com") == success(b"did 0+0+1\n")
    assert time.monotonic() - started < 120
    assert is_gone(int((deployment.home("joni") / "pid").read_text())), "it ends with the program"


@pytest.mark.parametrize(
    ("exit_code", "kind"), [(99, Kind.SUCCESS), (100, Kind.FAILURE), (64, Kind.FAILURE), (75, Kind.DEFERRAL)]
)
def test_exit_codes_decide(deployment: Deployment, exit_code: int, kind: Kind) -> None:
    deployment.write("joni", ".qmail", b"|exit %d\n./Maildir/\n" % exit_code)
    assert deployment.deliver(b"joni@xeris.com").kind is kind
    assert deployment.mails("joni") == []


def test_a_locked_mbox_is_waited_for(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"&diva\n./Mailbox\n./Maildir/\n")
    path = deployment.write("joni", "Mailbox", b"")

    async def work(local: LocalDelivery, _: ActingPool) -> Outcome:
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            delivering = asyncio.create_task(local.deliver(deployment.delivery(b"joni@xeris.com")))
            done, _pending = await asyncio.wait([delivering], timeout=0.3)
            assert not done
            assert path.read_bytes() == b""
        return await delivering

    outcome = deployment.using(work)
    assert isinstance(outcome, Outcome)
    assert outcome.text.startswith(b"did 2+1+0\n")
    assert path.read_bytes().count(b"From ari@xeris.com ") == 1
    assert len(deployment.mails("joni")) == 1


# A home that is not as it should be: always a deferral, never a loss.


def text_of(outcome: Outcome) -> bytes:
    assert outcome.kind is Kind.DEFERRAL
    return outcome.text


def test_a_dot_qmail_that_others_can_write_is_not_trusted(deployment: Deployment) -> None:
    deployment.write("joni", ".qmail", b"&thief@evil.org\n", 0o646)
    assert text_of(deployment.deliver(b"joni@xeris.com")) == b"Uh-oh: .qmail file is writable. (#4.7.0)\n"
    deployment.write("joni", ".qmail", b"./Maildir/\n", 0o664)  # the group is the user's own
    assert deployment.deliver(b"joni@xeris.com").kind is Kind.SUCCESS


def test_a_home_that_is_missing_open_or_being_edited_defers(deployment: Deployment) -> None:
    home = deployment.home("joni")
    home.chmod(0o1700)
    assert b"sticky" in text_of(deployment.deliver(b"joni@xeris.com"))
    home.chmod(0o777)
    assert text_of(deployment.deliver(b"joni@xeris.com")) == b"Uh-oh: home directory is writable. (#4.7.0)\n"
    assert b"writable" in text_of(deployment.deliver(b"joni@xeris.com", large=True))
    home.rename(deployment.root / "away")
    gone = b"Unable to switch to %s: file does not exist. (#4.3.0)\n" % bytes(home)
    assert text_of(deployment.deliver(b"joni@xeris.com")) == gone
    assert text_of(deployment.deliver(b"joni@xeris.com", large=True)) == gone


def test_a_missing_maildir_defers(deployment: Deployment) -> None:
    (deployment.home("joni") / "Maildir").rename(deployment.home("joni") / "Elsewhere")
    assert text_of(deployment.deliver(b"joni@xeris.com")) == b"Unable to chdir to maildir. (#4.2.1)\n"


def test_a_maildir_that_is_a_link_into_the_own_home_is_followed(deployment: Deployment) -> None:
    home = deployment.home("joni")
    (home / "Maildir").rename(home / "Elsewhere")
    (home / "Maildir").symlink_to("Elsewhere")
    assert deployment.deliver(b"joni@xeris.com").kind is Kind.SUCCESS
    assert len(deployment.mails("joni", "Elsewhere")) == 1


@needs_root
def test_a_link_into_another_users_maildir_delivers_nothing_there(deployment: Deployment) -> None:
    home = deployment.home("joni")
    (home / "Maildir").rename(home / "Elsewhere")
    (home / "Maildir").symlink_to(deployment.home("diva") / "Maildir")
    assert text_of(deployment.deliver(b"joni@xeris.com")) == b"Unable to chdir to maildir. (#4.2.1)\n"
    deployment.home("diva").chmod(0o711)
    assert deployment.deliver(b"joni@xeris.com").kind is Kind.DEFERRAL
    assert deployment.mails("diva") == []


@needs_root
def test_a_dot_qmail_of_another_user_is_not_read(deployment: Deployment) -> None:
    secret = deployment.write("diva", ".qmail", b"&secret@diva.org\n")
    (deployment.home("joni") / ".qmail").symlink_to(secret)
    outcome = deployment.deliver(b"joni@xeris.com")
    assert text_of(outcome) == b"Unable to open .qmail: access denied. (#4.3.0)\n"


@needs_root
def test_mail_is_never_delivered_as_root(deployment: Deployment) -> None:
    (deployment.root / "assign").write_text(f"=joni:joni:0:0:{deployment.home('joni')}:::\n.\n")
    assert text_of(deployment.deliver(b"joni@xeris.com")) == b"Not allowed to perform deliveries as root. (#4.3.0)\n"


def test_a_bad_line_in_users_assign_defers(deployment: Deployment) -> None:
    (deployment.root / "assign").write_text("=joni:nonsense\n.\n")
    assert b"users/assign" in text_of(deployment.deliver(b"joni@xeris.com"))


def test_without_control_me_mail_is_deferred(deployment: Deployment) -> None:
    (deployment.root / "control/me").unlink()
    assert b"control" in text_of(deployment.deliver(b"joni@xeris.com"))


def test_a_fifo_called_dot_qmail_does_not_stop_delivery(deployment: Deployment) -> None:
    os.mkfifo(deployment.home("joni") / ".qmail")
    assert deployment.deliver(b"joni@xeris.com").kind is Kind.SUCCESS


# News for IMAP.


def test_new_mail_is_announced_once_a_folder(deployment: Deployment) -> None:
    deployment.make_maildir("joni", "Other")
    deployment.write("joni", ".qmail", b"./Maildir/\n%s/Other/\n./Maildir/\n" % bytes(deployment.home("joni")))
    deployment.deliver(b"joni@xeris.com")
    uid = USERS["joni"] if PER_USER else os.getuid()
    assert deployment.published == [(f"new.{uid}", b"Maildir"), (f"new.{uid}", b"Other")]


def test_an_empty_local_part_is_nobodys(deployment: Deployment) -> None:
    assert deployment.deliver(b"@xeris.com") == success(b"")
