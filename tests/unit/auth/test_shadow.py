"""authshadow with real hashes of libcrypt, one of each kind that a distribution has had."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.auth.modules.module import NotSetUp, Verdict
from services.auth.modules.shadow import Shadow

# Of `jonipass`: `mkpasswd -m METHOD jonipass` (Debian's whois), and chpasswd's yescrypt.
HASHES = {
    "yescrypt": "$y$j9T$sJaQdB5SZ7LOnVLNmZqQs/$nqBlVFihX2ZdkO7tBw2mRVqW62A3nUttQ8ZEPPL6a/0",
    "sha512": "$6$xeris$PwM.W9nJDgJ0WrwpnkMsa8W7HXUkiiuRsIjh8rGOXUEC/ZQOhqB2PYya89b0ANi23.HwVnAXcmbknSDsa7XWY.",
    "sha256": "$5$xeris$TyeMAReHPDkVC8ZJtdN.6t8tV7k/yxkiHmQ4n7SgUz3",
    "bcrypt": "$2b$05$abcdefghijklmnopqrstuunhb.61GQgKBX7VAoLfMcYGtjZlNjUdW",
    "md5": "$1$xeris$RmWx82kjRGgGMNjUH27Vm1",
    "des": "xe.XGUztJdB4Q",
}
DAYS = 20_000


def shadow(path: Path, text: str) -> Shadow:
    path.write_text(text)
    return Shadow(path, clock=lambda: DAYS * 86_400.0)


@pytest.mark.parametrize("kind", HASHES)
def test_nobody_needs_a_new_password(tmp_path: Path, kind: str) -> None:
    module = shadow(tmp_path / "shadow", f"root:*:19000:0:99999:7:::\njoni:{HASHES[kind]}:19000:0:99999:7:::\n")
    assert module(b"joni", b"jonipass", "imap") is Verdict.YES
    assert module(b"joni", b"jonipas", "imap") is Verdict.NO
    assert module(b"root", b"", "imap") is Verdict.NO
    assert module(b"diva", b"jonipass", "imap") is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        (":19000:0:99999:7:::", Verdict.YES),
        (":19000:0:99999:7::20001:", Verdict.YES),
        (":19000:0:99999:7::20000:", Verdict.NO),
        (":19900:0:90:7:::", Verdict.NO),
        ("", Verdict.YES),
    ],
)
def test_what_has_expired_is_refused(tmp_path: Path, fields: str, verdict: Verdict) -> None:
    module = shadow(tmp_path / "shadow", f"joni:{HASHES['md5']}{fields}\n")
    assert module(b"joni", b"jonipass", "pop3") is verdict


@pytest.mark.parametrize("hashed", ["", "!", "*", "!!", f"!{HASHES['md5']}", "x", "$9$unknown$x"])
def test_locked_and_empty_passwords_let_nobody_in(tmp_path: Path, hashed: str) -> None:
    module = shadow(tmp_path / "shadow", f"joni:{hashed}:19000:0:99999:7:::\n")
    for password in (b"", b"jonipass", hashed.encode() or b"x"):
        assert module(b"joni", password, "smtp") is Verdict.NO


def test_a_changed_file_counts_at_once_and_one_that_is_gone_is_temporary(tmp_path: Path) -> None:
    path = tmp_path / "shadow"
    module = shadow(path, f"joni:{HASHES['md5']}:19000::::::\n")
    before = module.version()
    path.write_text("joni:!:19000::::::\nmore:*\n")
    assert module(b"joni", b"jonipass", "pop3") is Verdict.NO and module.version() != before
    path.unlink()
    assert module(b"joni", b"jonipass", "pop3") is Verdict.TEMPORARY
    with pytest.raises(NotSetUp, match="shadow is missing"):
        Shadow(path)
