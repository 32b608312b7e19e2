"""Accounts: who may be made, what is left of who was ended, and what a crash leaves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from qmail.accounts.assign import Accounts
from services.admin.accounts import passwords
from services.admin.accounts.users import UserError, Users
from services.admin.directories import Directories, read_directories
from services.admin.install import Installer

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes and syncs cost most of the time and decide nothing here."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    found = read_directories({"QMAIL_DIR": str(tmp_path)})
    for directory in (found.paths.users, found.paths.auth, found.paths.home, found.paths.alias):
        directory.mkdir()
    return found


@pytest.fixture
def users(directories: Directories) -> Users:
    return Users(directories, Installer(per_user=ROOT), 900)


def assign(directories: Directories) -> str:
    return (directories.paths.users / "assign").read_text()


def test_the_lines_of_users_assign_are_qmails(users: Users, directories: Directories) -> None:
    users.add("joni", "secret")
    home, alias = directories.paths.home, directories.paths.alias
    assert assign(directories) == (
        f"=alias:alias:900:900:{alias}:::\n+alias-:alias:900:900:{alias}:-::\n"
        f"=joni:joni:2001:2001:{home}/joni:::\n+joni-:joni:2001:2001:{home}/joni:-::\n+:alias:900:900:{alias}:-::\n.\n"
    )
    assert [user.name for user in users.all()] == ["joni"], "alias is nobody who logs in"


def test_the_account_alias_has_a_mailbox_as_by_qmail_getpw(users: Users, directories: Directories) -> None:
    users.add("joni", "secret")
    found = Accounts(directories.paths.users / "assign").find
    alias = [
        (match.account.name, match.dash, match.ext)
        for name in (b"alias", b"Alias-Foo-x", b"aliasx")
        if (match := found(name))
    ]
    assert alias == [(b"alias", b"", b""), (b"alias", b"-", b"Foo-x"), (b"alias", b"-", b"aliasx")]


def test_extension_addresses_and_strangers_are_found_as_by_qmail(users: Users, directories: Directories) -> None:
    users.add("joni", "secret")
    table = Accounts(directories.paths.users / "assign")
    found = table.find(b"joni-list-x")
    assert found is not None and (found.account.name, found.dash, found.ext) == (b"joni", b"-", b"list-x")
    stranger = table.find(b"nobody")
    assert stranger is not None and (stranger.account.name, stranger.ext) == (b"alias", b"nobody")


def test_a_home_has_a_maildir_and_is_its_users_alone(users: Users) -> None:
    user = users.add("joni", "secret")
    assert user.home.stat().st_mode & 0o777 == 0o700
    for name in ("cur", "new", "tmp"):
        st = (user.home / "Maildir" / name).stat()
        assert st.st_mode & 0o777 == 0o700
        assert not ROOT or (st.st_uid, st.st_gid) == (user.uid, user.uid)


def test_the_skeleton_is_copied(users: Users, directories: Directories) -> None:
    directories.skeleton.mkdir()
    (directories.skeleton / ".qmail").write_text("./Maildir/\n")
    user = users.add("joni", "secret")
    assert (user.home / ".qmail").read_text() == "./Maildir/\n"
    assert not ROOT or (user.home / ".qmail").stat().st_uid == user.uid


def test_the_files_for_the_c_library_name_the_same_accounts(users: Users, directories: Directories) -> None:
    users.add("joni", "secret")
    lines = (directories.paths.users / "passwd").read_text().splitlines()
    assert f"joni:*:2001:2001::{directories.paths.home}/joni:/bin/sh" in lines
    assert "joni:x:2001:" in (directories.paths.users / "group").read_text().splitlines()


def test_a_uid_is_never_given_twice(users: Users) -> None:
    first = users.add("joni", "secret")
    users.remove("joni", remove_home=True)
    again = users.add("joni", "secret")
    users.remove("joni", remove_home=True)
    assert [first.uid, again.uid, users.add("diva", "secret").uid] == [2001, 2002, 2003]


def test_a_uid_that_stands_in_assign_by_hand_is_not_given(users: Users, directories: Directories) -> None:
    (directories.paths.users / "assign").write_text("=old:old:2500:2500:/home/old:::\n.\n")
    assert users.add("joni", "secret").uid == 2501


def test_lines_made_by_hand_stay(users: Users, directories: Directories) -> None:
    line = "+sales-:joni:2001:2001:/home/joni:-:sales-:"
    (directories.paths.users / "assign").write_text(f"{line}\n+:alias:900:900:/a:-::\n.\n")
    users.add("diva", "secret")
    users.remove("diva")
    assert assign(directories) == f"{line}\n+:alias:900:900:/a:-::\n.\n"


def test_an_ended_account_has_neither_mail_nor_password(users: Users, directories: Directories) -> None:
    home = users.add("joni", "secret").home
    users.remove("joni")
    assert Accounts(directories.paths.users / "assign").named(b"joni") is None
    assert passwords.read_hashes(directories.paths.auth / "passwd") == {}
    assert home.is_dir(), "mail is kept unless it was asked to go"


def test_an_account_does_not_inherit_the_home_of_an_ended_one(users: Users) -> None:
    users.add("joni", "secret")
    users.remove("joni")
    with pytest.raises(UserError, match="move it away or remove it"):
        users.add("joni", "secret")


def test_a_name_is_given_once(users: Users) -> None:
    users.add("joni", "secret")
    with pytest.raises(UserError, match="exists already"):
        users.add("joni", "other")


@pytest.mark.parametrize(
    "name", ["", "Joni", "jo:ni", "jo/ni", "jo\nni", "jo ni", "..", "-x", "root", "alias", "j" * 32, "jöni", "2joni"]
)
def test_a_name_that_cannot_be_one_is_refused(users: Users, directories: Directories, name: str) -> None:
    with pytest.raises(ValueError):
        users.add(name, "secret")
    assert list(directories.paths.home.iterdir()) == []


@pytest.mark.parametrize("password", ["", "a\nb", "a\0b", "x" * 1001])
def test_a_password_that_no_client_can_send_is_refused(users: Users, password: str) -> None:
    with pytest.raises(ValueError, match="the password"):
        users.add("joni", password)
    assert users.all() == ()


def test_a_password_can_be_changed_locked_and_unlocked(users: Users, directories: Directories) -> None:
    path = directories.paths.auth / "passwd"
    users.add("joni", "one")
    users.set_password("joni", "two")
    assert PasswordHasher().verify(passwords.read_hashes(path)["joni"], "two")
    users.set_locked("joni", locked=True)
    assert passwords.read_hashes(path)["joni"].startswith("!$argon2id$")
    users.set_locked("joni", locked=False)
    assert PasswordHasher().verify(passwords.read_hashes(path)["joni"], "two")
    assert path.stat().st_mode & 0o777 == 0o400


def test_another_machine_s_hash_is_locked_and_goes_when_there_is_a_new_password(
    users: Users, directories: Directories
) -> None:
    path = directories.paths.auth / "shadow"
    users.add("joni", "one")
    rest = "root:*:19000:0:99999:7:::\njonathan:$6$x$y:19000::::::\n"
    path.write_text(rest + "joni:$y$j9T$x$y:19000:0:99999:7:::\n")
    users.set_locked("joni", locked=True)
    assert path.read_text() == rest + "joni:!$y$j9T$x$y:19000:0:99999:7:::\n"
    users.set_locked("joni", locked=False)
    assert path.read_text() == rest + "joni:$y$j9T$x$y:19000:0:99999:7:::\n"
    users.set_password("joni", "two")
    assert path.read_text() == rest and path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    "act",
    [
        lambda users: users.remove("nobody"),
        lambda users: users.set_password("nobody", "x"),
        lambda users: users.set_locked("nobody", locked=True),
    ],
    ids=["remove", "set_password", "set_locked"],
)
def test_a_stranger_can_be_neither_ended_nor_changed(users: Users, act: Callable[[Users], object]) -> None:
    with pytest.raises(UserError, match="no such account"):
        act(users)


@pytest.mark.parametrize("text", ["=joni:joni:2001\n.\n", "joni\n.\n", "=a:a:2001:2001:/a:::\n", "=a:a:x:2:/a:::\n.\n"])
def test_a_bad_line_stops_the_change_and_is_named(users: Users, directories: Directories, text: str) -> None:
    (directories.paths.users / "assign").write_text(text)
    with pytest.raises(ValueError, match=r"assign:\d+: expected"):
        users.add("diva", "secret")
    assert assign(directories) == text


class Crash(Exception):
    pass


def test_a_useradd_killed_anywhere_goes_on_where_it_stopped(
    directories: Directories, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.add("ari", "secret")
    real, steps = os.rename, 0
    while True:
        left = [steps]

        def rename(source: object, target: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            real(source, target)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename)
            try:
                users.add("joni", "secret")
                break
            except Crash:
                known = Accounts(directories.paths.users / "assign")
                assert known.named(b"joni") is None and known.named(b"ari") is not None
        assert users.add("joni", "secret").uid == 2002 + steps, "the uid claimed before the crash is used"
        users.remove("joni", remove_home=True)
        steps += 1
    assert steps == 6


def test_ten_at_once_get_ten_uids(users: Users, directories: Directories) -> None:
    made: list[int] = []
    threads = [threading.Thread(target=lambda n=n: made.append(users.add(f"user{n}", "x").uid)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(2001, 2011))
    assert len(users.all()) == 10
