"""users/cdb and morercpthosts.cdb: read back with a reader of the format, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control import cdb
from services.programs.tables import assignments, newmrh, newu


def test_assignments_are_keys_in_lower_case_and_the_wildcards_come_last() -> None:
    text = b"=Ari:ari:2001:2001:/home/ari:::\n+ari-:ari:2001:2001:/home/ari:-::\n+:alias:900:900:/a:-::\n.\n"
    assert list(assignments(text)) == [
        (b"!ari\0", b"ari\x002001\x002001\0/home/ari\0\0"),
        (b"!ari-", b"ari\x002001\x002001\0/home/ari\0-\0"),
        (b"!", b"alias\x00900\x00900\0/a\0-\0"),
        (b"", b"-"),
    ]


@pytest.mark.parametrize("text", [b"", b"=a:b:1:2:/h::\n.\n", b":b:1:2:/h:::\n.\n", b"=a:b:1:2:/h:::\n"])
def test_a_bad_line_or_a_missing_dot_is_refused(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "assign").write_bytes(text)
    with pytest.raises(SystemExit) as ends:
        newu([])
    assert ends.value.code == 111
    assert capfd.readouterr().err == "qmail-newu: fatal: bad format in users/assign\n"
    assert not (tmp_path / "users" / "cdb").exists()


def test_morercpthosts_without_comments_blanks_and_capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "morercpthosts").write_bytes(b"#c\n\nA.org \t\nb.org")
    assert newmrh([]) == 0
    data = (tmp_path / "control" / "morercpthosts.cdb").read_bytes()
    assert cdb.find(data, b"a.org") == cdb.find(data, b"b.org") == b""
    assert cdb.find(data, b"#c") is cdb.find(data, b"") is None
