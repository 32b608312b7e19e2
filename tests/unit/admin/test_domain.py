"""qmailctl domain and init: every file that a mail domain stands in, and no mail lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from services.admin.commands.qmailctl import main
from services.admin.setup import domains
from services.admin.setup.first_start import first_start


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("IDENTITY", "RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    monkeypatch.setenv("QUEUE_URL", "http://127.0.0.1:1")
    first_start({"QMAIL_DIR": str(tmp_path)})
    return tmp_path


def read(directory: Path, name: str) -> list[str]:
    path = directory / "control" / name
    return path.read_text().splitlines() if path.exists() else []


def names(directory: Path) -> list[str]:
    found = x509.load_pem_x509_certificate((directory / "tls/cert.pem").read_bytes())
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def test_a_domain_comes_and_goes_by_one_command(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "control/locals").write_text("# ours\nmail.xeris.com\nxeris.com")
    key = (directory / "tls/key.pem").read_bytes()
    assert main(["domain", "add", "Surat.xeris.com"]) == 0
    assert read(directory, "locals") == ["# ours", "mail.xeris.com", "xeris.com", "surat.xeris.com"]
    assert read(directory, "rcpthosts") == ["mail.xeris.com", "xeris.com", "surat.xeris.com"]
    assert set(names(directory)) == {"mail.xeris.com", "xeris.com", "surat.xeris.com"}
    assert (directory / "tls/key.pem").read_bytes() == key
    assert main(["domain", "add", "surat.xeris.com"]) == 0, "again changes nothing"
    assert read(directory, "locals").count("surat.xeris.com") == 1
    assert main(["domain", "remove", "surat.xeris.com"]) == 0
    assert read(directory, "locals") == ["# ours", "mail.xeris.com", "xeris.com"]
    assert read(directory, "rcpthosts") == ["mail.xeris.com", "xeris.com"]
    assert set(names(directory)) == {"mail.xeris.com", "xeris.com"}
    assert "the queue does not answer: it takes the change when it starts" in capsys.readouterr().err


def test_a_virtual_domain_is_one_account_s(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["domain", "add", "toko.example", "ari"]) == 0
    assert read(directory, "virtualdomains") == ["toko.example:ari"] and "toko.example" not in read(directory, "locals")
    assert main(["domain", "add", "toko.example"]) == 1
    assert "is in control/virtualdomains already" in capsys.readouterr().err
    assert main(["domain", "remove", "toko.example"]) == 0 and read(directory, "virtualdomains") == []
    assert main(["domain", "add", "toko.example", "nobody"]) == 1
    assert "nobody: no such account" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["remove", "mail.xeris.com"], "is this host's own name"),
        (["remove", "other.example"], "is in none of control/rcpthosts, locals and virtualdomains"),
        (["add", "surat"], "'surat' is no domain"),
        (["add", "a b.example"], "is no domain"),
        (["add"], "Usage"),
    ],
)
def test_what_is_no_change_is_refused(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before = {path.name: path.read_bytes() for path in (directory / "control").iterdir() if path.is_file()}
    assert main(["domain", *arguments]) == 1 and said in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in (directory / "control").iterdir() if path.is_file()}


def test_strangers_may_send_last_and_no_more_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is broken off, what rcpthosts takes is delivered here."""
    seen: list[tuple[bool, bool]] = []
    for name in ("add_line", "remove_lines"):
        change = getattr(domains, name)

        def watched(*arguments: object, change: object = change, **more: object) -> bool:
            done: bool = change(*arguments, **more)  # type: ignore[operator]
            seen.append(("b.example" in read(directory, "locals"), "b.example" in read(directory, "rcpthosts")))
            return done

        monkeypatch.setattr(domains, name, watched)
    assert main(["domain", "add", "b.example"]) == 0 and main(["domain", "remove", "b.example"]) == 0
    assert (False, True) not in seen and (True, True) in seen and (True, False) in seen


def test_locals_that_were_not_there_stood_for_me(directory: Path) -> None:
    (directory / "control/locals").unlink()
    (directory / "control/rcpthosts").unlink()
    assert main(["domain", "add", "surat.xeris.com"]) == 0
    assert read(directory, "locals") == ["mail.xeris.com", "surat.xeris.com"]
    assert not (directory / "control/rcpthosts").exists(), "without it, locals are what strangers may send to"


def test_another_name_than_that_of_the_first_start(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "surat.contoh.co.id"]) == 0
    shown = {name: read(directory, name) for name in ("me", "defaultdomain", "plusdomain", "locals")}
    assert shown == {
        "me": ["surat.contoh.co.id"],
        "defaultdomain": ["contoh.co.id"],
        "plusdomain": ["co.id"],
        "locals": ["mail.xeris.com", "xeris.com", "surat.contoh.co.id", "contoh.co.id"],
    }
    assert names(directory)[0] == "surat.contoh.co.id"
    assert "Your fully qualified host name is surat.contoh.co.id." in capsys.readouterr().out
