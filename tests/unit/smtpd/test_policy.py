"""The control files' meaning, and when they are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.files import Control, ControlError
from qmail.message.address import Address
from services.smtpd.policy_reader import PolicyReader, read_policy


def write(directory: Path, **files: str) -> Control:
    for name, text in files.items():
        (directory / name).write_text(text)
    return Control(directory)


def test_defaults_with_me_alone(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, me="mail.xeris.com\n"))
    assert policy.greeting == policy.local_ip_host == b"mail.xeris.com"
    assert (policy.timeout_seconds, policy.databytes, policy.max_recipients) == (300, 0, 1000)
    assert (
        policy.is_local(Address(b"joni@Mail.xeris.com"))
        and not policy.is_local(Address(b"joni@xeris.com"))
        and policy.extensions
    )


def test_without_me_there_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="me: missing; expected this host's name"):
        read_policy(Control(tmp_path))


def test_missing_rcpthosts_accepts_our_own_domains_only(tmp_path: Path) -> None:
    control = write(tmp_path, me="m\n", locals="Xeris.com\n", virtualdomains="virtual.org:joni\n.deep.org:joni\n")
    policy = read_policy(control)
    assert policy.rcpthosts_missing
    accepted = [
        a
        for a in (b"a@xeris.com", b"a@VIRTUAL.org", b"a@x.deep.org", b"a@other.org")
        if policy.is_in_rcpthosts(Address(a))
    ]
    assert accepted == [b"a@xeris.com", b"a@VIRTUAL.org", b"a@x.deep.org"]


def test_missing_rcpthosts_is_the_open_relay_of_qmail_only_with_extensions_none(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, me="m\n", extensions="none\n"))
    assert policy.is_in_rcpthosts(Address(b"a@other.org")) and not policy.extensions and policy.timeout_seconds == 1200


def test_morercpthosts_counts_beside_rcpthosts(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, me="m\n", rcpthosts="a.org\n", morercpthosts="b.org\n"))
    assert policy.is_in_rcpthosts(Address(b"x@B.org")) and not policy.is_in_rcpthosts(Address(b"x@c.org"))


@pytest.mark.parametrize(
    ("recipient", "allowed"),
    [
        (b"x@xeris.com", True),
        (b"x@xeris.com.", False),
        (b"x@a.b.sub.org", True),
        (b"x@sub.org", False),
        (b"x@", False),
    ],
)
def test_rcpthosts(tmp_path: Path, recipient: bytes, allowed: bool) -> None:
    policy = read_policy(write(tmp_path, me="m\n", rcpthosts="xeris.com\n.sub.org\n"))
    assert policy.is_in_rcpthosts(Address(recipient)) is allowed


@pytest.mark.parametrize(
    ("recipient", "local"),
    [
        (b"x@A.org", True),
        (b"x@virtual.org", True),
        (b"x@deep.virtual.org", True),
        (b"x@none.virtual.org", False),
        (b"one@far.org", True),
        (b"two@far.org", False),
        (b"x%a.org@hack.org", True),
        (b"x%far.org@hack.org", False),
        (b"x", True),
        (b"x%a.org", True),
    ],
)
def test_whoever_is_ours_by_any_rule_is_asked_for(tmp_path: Path, recipient: bytes, local: bool) -> None:
    files = {
        "me": "m\n",
        "locals": "m\na.org\n",
        "virtualdomains": "virtual.org:joni\n.virtual.org:joni\nnone.virtual.org:\none@far.org:ari\n",
        "percenthack": "hack.org\n",
    }
    assert read_policy(write(tmp_path, **files)).is_local(Address(recipient)) is local
    assert not read_policy(write(tmp_path, **files, extensions="none\n")).is_local(Address(recipient)), "as qmail-smtpd"


@pytest.mark.parametrize(("percenthack", "extensions"), [("", ""), ("m\n", ""), ("m\n", "none\n")])
def test_no_percent_hack_leads_strangers_out_of_the_house_without_a_domain(
    tmp_path: Path, percenthack: str, extensions: str
) -> None:
    files = {"me": "m\n", "rcpthosts": "m\n", "percenthack": percenthack, "extensions": extensions}
    policy = read_policy(write(tmp_path, **files))
    assert policy.is_in_rcpthosts(Address(b"x"))
    assert policy.is_in_rcpthosts(Address(b"v%evil.test")) == (extensions == "none\n")


def test_a_name_without_a_domain_is_ours_only_where_envnoathost_is(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, me="m\n", rcpthosts="a.org\n", locals="a.org\n", envnoathost="far.org\n"))
    assert not policy.is_in_rcpthosts(Address(b"x"))


def test_reader_reads_again_when_a_file_appears_changes_or_goes(tmp_path: Path) -> None:
    control = write(tmp_path, me="m\n", rcpthosts="a.org\n")
    reader = PolicyReader(control)
    first = reader.current()
    assert reader.current() is first
    (tmp_path / "badmailfrom").write_text("x@y\n")
    assert reader.current().bad_mail_from.find(Address(b"x@y"))
    (tmp_path / "badmailfrom").write_text("x@yy\n")
    assert not reader.current().bad_mail_from.find(Address(b"x@y"))
    (tmp_path / "badmailfrom").unlink()
    assert not reader.current().bad_mail_from
    (tmp_path / "rcpthosts").unlink()
    (tmp_path / "rcpthosts").mkdir()
    with pytest.raises(ControlError):
        reader.current()
