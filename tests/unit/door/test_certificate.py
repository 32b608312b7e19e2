"""What is wrong with the certificate's files stands in the notices, names the file, and is mended when they are."""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from qmail.door.certificate import ServerTls
from qmail.door.expiry import not_after
from qmail.log.notices import Notices
from tests.support.certificate import make_certificate
from tests.support.hall import CERTIFICATES

DAY = 86_400.0
NOBODY = 65534


class Told(Notices):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)


@pytest.fixture
def directory() -> Iterator[Path]:
    """With a good pair. Not tmp_path: nobody but root may pass through pytest's directory."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        for file in ("cert.pem", "key.pem"):
            shutil.copy(CERTIFICATES / file, name)
        yield Path(name)


@pytest.fixture
def told() -> Told:
    return Told()


def encrypt(key: Path) -> None:
    """Give it a pass phrase."""
    read = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(read.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def test_a_key_with_a_pass_phrase_is_named_and_nobody_is_asked_for_it(
    directory: Path, told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    encrypt(directory / "key.pem")
    tls = ServerTls(directory, told)
    assert not tls.available
    assert told.lines == [
        f"alert: {directory}/key.pem is encrypted; expected a key without a pass phrase (openssl pkey -in ...); "
        "TLS is off"
    ]
    assert [standing.key for standing in told.standing] == ["tls"]
    assert capfd.readouterr() == ("", "")
    shutil.copy(CERTIFICATES / "key.pem", directory)
    assert tls.available
    assert told.lines[1].startswith("mended: ") and told.standing == ()


def test_a_pair_that_was_read_stays_in_use_while_the_new_one_is_wrong(directory: Path, told: Told) -> None:
    tls = ServerTls(directory, told)
    before = tls.context()
    encrypt(directory / "key.pem")
    assert tls.context() is before
    (alert,) = told.lines
    assert alert.endswith("; the pair that was read before stays in use")


def test_a_certificate_of_another_key_is_told(directory: Path, told: Told, tmp_path: Path) -> None:
    shutil.copy(make_certificate(tmp_path, "mail.xeris.com")[1], directory)
    assert not ServerTls(directory, told).available
    what = "does not fit key.pem: the certificate is of another key; TLS is off"
    assert told.lines == [f"alert: {directory}/cert.pem {what}"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("cert.pem", "no certificate; expected one in PEM form"), ("key.pem", "no private key that fits; expected one")],
)
def test_a_file_that_is_no_pem_is_told_by_its_own_name(directory: Path, told: Told, name: str, text: str) -> None:
    (directory / name).write_text("half written")
    assert not ServerTls(directory, told).available
    (alert,) = told.lines
    assert alert.startswith(f"alert: {directory}/{name}: {text}")


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_a_missing_file_is_told(directory: Path, told: Told, name: str) -> None:
    (directory / name).unlink()
    assert not ServerTls(directory, told).available
    what = f"No such file or directory; expected a file in PEM form that uid {os.geteuid()} may read; TLS is off"
    assert told.lines == [f"alert: {directory}/{name}: {what}"]


@pytest.mark.parametrize("closed", ["key.pem", "."])
def test_a_missing_right_is_told_and_mended_by_chmod_alone(directory: Path, told: Told, closed: str) -> None:
    path = directory / closed
    path.chmod(0o600)
    tls = ServerTls(directory, told)
    with as_nobody():
        tls.look()
        us = f"uid {os.geteuid()}"
        if closed == ".":
            assert f"cert.pem: Permission denied: {us} may not enter a directory above it" in told.lines[0]
        else:
            owner = f"uid {path.stat().st_uid}, gid {path.stat().st_gid}, mode 0600"
            assert f"key.pem: Permission denied: {us} has no right to it: it belongs to {owner}" in told.lines[0]
        assert not tls.available
    path.chmod(0o755)
    with as_nobody():
        assert tls.available
    assert told.standing == ()


class as_nobody:
    """Root may read everything; anybody else is somebody already, and takes the file's right from itself."""

    def __enter__(self) -> None:
        self._uid = os.geteuid()
        if self._uid == 0:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self._uid)


@pytest.mark.parametrize(("days", "said"), [(13.0, "in 13 days"), (0.6, "in 1 days"), (-1.0, None)])
def test_a_certificate_s_last_two_weeks_stand(directory: Path, told: Told, days: float, said: str | None) -> None:
    end = not_after((directory / "cert.pem").read_text())
    now = [end - 15 * DAY]
    tls = ServerTls(directory, told, lambda: now[0])
    tls.look()
    assert told.lines == []
    now[0] = end - days * DAY
    tls.look()
    tls.look()
    day = time.strftime("%Y-%m-%d", time.gmtime(end))
    said = f"ends on {day}, {said}" if said else f"ended on {day}"
    assert told.lines == [f"alert: {directory}/cert.pem {said}: renew it"]
    assert tls.available, "a client decides for itself whether it takes an old one"
    now[0] = end - 15 * DAY
    tls.look()
    assert told.standing == ()


def test_a_certificate_s_end_is_read_as_openssl_reads_it(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "mail.xeris.com")
    end = datetime.fromtimestamp(not_after(certificate.read_text()), UTC)
    assert abs(end - datetime.now(UTC) - timedelta(days=1)) < timedelta(hours=1)
    for path in (certificate, CERTIFICATES / "cert.pem"):
        decoded = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
        assert not_after(path.read_text()) == ssl.cert_time_to_seconds(decoded["notAfter"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIBAAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        not_after(text)
