"""sendmail's /etc/aliases as fastforward's instructions; setforward and fastforward themselves where they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from services.admin.commands.newaliases import BadAliases, newaliases, parse, render

ALIASES = r"""# aliases(5)
postmaster: root
root:   ari,
        diva@contoh.id

"kantor besar": joni
direksi: :include:/var/qmail/alias/direksi
owner-direksi: ari
log: "|/usr/bin/logger -t \"mail, in\"", \joni
info@contoh.id: budi
"""
INSTRUCTIONS = r"""postmaster@: &root@mail.xeris.com;
root@: &ari@mail.xeris.com, &diva@contoh.id;
kantor\ besar@: &joni@mail.xeris.com;
direksi@: ?owner-direksi@mail.xeris.com, /var/qmail/alias/direksi.bin;
owner-direksi@: &ari@mail.xeris.com;
log@: !/usr/bin/logger\ -t\ "mail\,\ in", &joni@mail.xeris.com;
info@contoh.id: &budi@mail.xeris.com;
"""


def test_sendmail_s_aliases_are_fastforward_s_instructions() -> None:
    assert render(parse(ALIASES), "mail.xeris.com") == INSTRUCTIONS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("joni\n", "line 1: expected a name"),
        ("# x\n\njoni:\n", "line 3: expected a name"),
        (": joni\n", "line 1: expected a name"),
        ("arsip: /var/mail/arsip\n", "line 1: /var/mail/arsip: no file is written to"),
    ],
)
def test_what_cannot_be_meant_is_named_by_its_line_and_the_old_stays(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadAliases, match=said):
        render(parse(text), "mail.xeris.com")
    (tmp_path / "aliases").write_text(text)
    (tmp_path / "aliases.cdb").write_text("old")
    assert newaliases(tmp_path, "mail.xeris.com") == 111 and said in capsys.readouterr().err
    assert (tmp_path / "aliases.cdb").read_text() == "old"
    (tmp_path / "aliases").unlink()
    assert newaliases(tmp_path, "mail.xeris.com") == 111


def test_setforward_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aliases").write_text(ALIASES)
    code = newaliases(tmp_path, "mail.xeris.com")
    if shutil.which("setforward") is None:
        assert code == 111 and "expected Debian's fastforward" in capsys.readouterr().err
        return
    assert code == 0
    with open(tmp_path / "aliases.cdb", "rb") as database:
        shown = subprocess.run(["printforward"], stdin=database, capture_output=True, text=True, check=True).stdout
    assert "root@" in shown and "ari@mail.xeris.com" in shown
