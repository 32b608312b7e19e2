"""First start: what config-fast made; a second start changes nothing; a broken-off one is finished."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from qmail.accounts.assign import Accounts
from services.admin.accounts import passwords
from services.admin.rights import read_rights
from services.admin.setup.first_start import first_start
from services.admin.setup.generated_files import GeneratedFiles

Tree = dict[str, tuple[int, int, int, int, bytes]]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes and syncs cost most of the time and decide nothing here."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def environ(directory: Path, **more: str) -> dict[str, str]:
    identity = "per-user" if os.geteuid() == 0 else "single"
    return {"QMAIL_DIR": str(directory), "IDENTITY": identity, **more}


def snapshot(top: Path) -> Tree:
    """Everything that somebody could notice: mode, owner, time of change, inode's contents."""
    tree: Tree = {}
    for path in sorted(top.rglob("*")):
        st = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        tree[str(path.relative_to(top))] = (st.st_mode, st.st_uid, st.st_gid, st.st_ctime_ns, content)
    return tree


def test_the_control_files_are_those_of_config_fast_and_the_tutorial(tmp_path: Path) -> None:
    first_start(environ(tmp_path, ADDRESS="192.168.1.1", QUEUE_BYTES="5000000"))
    control = {
        path.name: path.read_text()
        for path in (tmp_path / "control").iterdir()
        if path.name not in (".made", ".release")
    }
    assert control == {
        "me": "mail.xeris.com\n",
        "defaultdomain": "xeris.com\n",
        "plusdomain": "xeris.com\n",
        "locals": "mail.xeris.com\nxeris.com\n",
        "rcpthosts": "mail.xeris.com\nxeris.com\n",
        "databytes": "26214400\n",
        "concurrencyincoming": "50\n",
        "bouncemaxbytes": "50000\n",
        "defaultdelivery": "./Maildir/\n",
        "localips": "127.0.0.1\n192.168.1.1\n",
        "queuebytes": "5000000\n",
        "tcp.smtp": '127.:allow,RELAYCLIENT=""\n:allow\n',
    }


def test_the_aliases_are_those_of_chapter_5_1_6(tmp_path: Path) -> None:
    first_start(environ(tmp_path, ADMIN_USER="diva"))
    alias = tmp_path / "alias"
    assert (alias / ".qmail-postmaster").read_text() == "diva\n"
    assert (alias / ".qmail-root").read_text() == "diva\n"
    assert (alias / ".qmail").read_text() == "diva\n", "mail to alias itself"
    assert (alias / ".qmail-mailer-daemon").read_text() == "root\n"
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in alias.iterdir())


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    before = snapshot(tmp_path)
    first_start(environ(tmp_path))
    assert snapshot(tmp_path) == before


def test_a_second_start_leaves_what_the_administrator_changed(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    (tmp_path / "control" / "databytes").unlink()
    (tmp_path / "control" / "locals").write_text("example.org\n")
    (tmp_path / "alias" / ".qmail-root").write_text("joni\n")
    before = snapshot(tmp_path)
    first_start(environ(tmp_path, ME="mail.example.org", ADMIN_USER="diva"))
    assert snapshot(tmp_path) == before


def test_localips_follows_the_address_until_it_is_edited(tmp_path: Path) -> None:
    localips = tmp_path / "control" / "localips"
    first_start(environ(tmp_path))
    first_start(environ(tmp_path, ADDRESS="192.168.1.1"))
    assert localips.read_text() == "127.0.0.1\n192.168.1.1\n"
    localips.write_text("127.0.0.1\n192.168.1.1\n203.0.113.9\n")
    first_start(environ(tmp_path, ADDRESS="192.168.1.2"))
    assert localips.read_text() == "127.0.0.1\n192.168.1.1\n203.0.113.9\n"
    assert GeneratedFiles(tmp_path / "control").left_behind("192.168.1.2") == [localips]
    localips.unlink()
    first_start(environ(tmp_path, ADDRESS="192.168.1.2"))
    assert not localips.exists() and GeneratedFiles(tmp_path / "control").left_behind("192.168.1.2") == []


def test_wrong_modes_and_owners_are_mended(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    before = {name: row[:3] for name, row in snapshot(tmp_path).items()}
    for name in ("credentials/smtpd.bus", "auth", "tls/key.pem", "auth/passwd"):
        (tmp_path / name).chmod(0o777)
    first_start(environ(tmp_path))
    assert {name: row[:3] for name, row in snapshot(tmp_path).items()} == before


class Crash(Exception):
    pass


def start_and_crash(directory: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the start got as far as its `after`th rename, where it ends as if killed."""
    left = [after]
    real = os.rename

    def rename(source: object, target: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        real(source, target)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        try:
            first_start(environ(directory))
        except Crash:
            return True
    return False


def test_a_start_that_was_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_start(environ(tmp_path / "whole"))
    whole = set(snapshot(tmp_path / "whole"))
    after = 0
    while start_and_crash(tmp_path / str(after), after, monkeypatch):
        directory = tmp_path / str(after)
        first_start(environ(directory))
        found = {name for name in snapshot(directory) if ".tmp." not in name}
        assert found == whole, f"killed at rename {after}"
        assert Accounts(directory / "users" / "assign").find(b"ari") is not None
        after += 1
    assert after > 20


def test_the_first_password_opens_the_first_account(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    name, password = (tmp_path / "credentials" / "first-password").read_text().split()
    hashed = passwords.read_hashes(tmp_path / "auth" / "passwd")[name]
    assert PasswordHasher().verify(hashed, password)


def test_the_certificate_fits_its_key(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem")


def test_an_administrators_linked_certificate_is_left_alone(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "tls" / name).rename(tmp_path / name)
        (tmp_path / "tls" / name).symlink_to(tmp_path / name)
    before = snapshot(tmp_path)
    first_start(environ(tmp_path))
    assert snapshot(tmp_path) == before


@pytest.mark.root(reason="owners can only be given away by root")
def test_each_credential_belongs_to_its_role_alone(tmp_path: Path) -> None:
    first_start(environ(tmp_path))
    for role in read_rights().bus_users:
        st = (tmp_path / "credentials" / f"{role.name}.bus").stat()
        assert (st.st_uid, st.st_mode & 0o777) == (role.credential_uid, 0o400)
    assert (tmp_path / "credentials" / "admin.bus").stat().st_uid != 0
    assert (tmp_path / "bus").stat().st_uid == read_rights().roles["bus"].uid


@pytest.mark.parametrize(
    ("name", "value"),
    [("ME", "mail"), ("ME", "mail..com"), ("ME", "-a.com"), ("IDENTITY", "root"), ("QUEUE_BYTES", "4000000"),
     ("QUEUE_BYTES", "many"), ("ADMIN_USER", "Root!"), ("ADMIN_USER", "root")],
)  # fmt: skip
def test_a_bad_setting_is_refused_with_what_was_expected(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"expected|mail for it goes"):
        first_start(environ(tmp_path, **{name: value}))


@pytest.mark.root(reason="only uid 0 is refused")
def test_uid_0_is_refused_as_the_single_identity(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected per-user"):
        first_start(environ(tmp_path, IDENTITY="single"))
