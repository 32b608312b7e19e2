"""A null client of a provider's smarthost: qmail-remote against Debian's Postfix with Cyrus SASL."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.support.peer_postfix import POSTFIX, Postfix
from tests.support.deployment import eventually
from tests.support.needs import missing, need
from tests.support.ports import free_ports
from tests.support.source import ROOT

HOST = "127.0.0.1"
USER, PASSWORD = "ari@provider.example", "geheim und mehr"
MESSAGE = b"Subject: by the smarthost\n\nNgetes\n"
SECONDS = 60

MORE = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain =
cyrus_sasl_config_path = {base}/conf/sasl
smtpd_tls_cert_file = {base}/cert.pem
smtpd_tls_key_file = {base}/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""
SASL = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {base}/sasldb2
mech_list: {mechanisms}
"""


def make_certificate(directory: Path) -> None:
    """For HOST, its own authority."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smarthost")]),
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(private)


class Smarthost:
    """Postfix that takes mail from those alone who log in, and only within TLS."""

    def __init__(self, base: Path) -> None:
        [self.port] = free_ports(1)
        self.base = base
        self._postfix = Postfix(base, self.port, ["joni"], more=MORE.format(base=base))

    def start(self) -> None:
        (self.base / "conf" / "sasl").mkdir(parents=True)
        self.offer("PLAIN LOGIN CRAM-MD5")
        make_certificate(self.base)
        database = self.base / "sasldb2"
        argv = [need("saslpasswd2"), "-c", "-p", "-f", str(database), "-u", "provider.example", "ari"]
        subprocess.run(argv, input=PASSWORD.encode(), check=True)
        database.chmod(0o644)
        self._postfix.start()

    def offer(self, mechanisms: str) -> None:
        """From the next connection of a new process on."""
        (self.base / "conf" / "sasl" / "smtpd.conf").write_text(SASL.format(base=self.base, mechanisms=mechanisms))

    def reload(self) -> None:
        subprocess.run([POSTFIX, "-c", str(self.base / "conf"), "reload"], check=True, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self._postfix.stop()

    def arrived(self) -> int:
        new = self._postfix.maildir("joni") / "new"
        return len(list(new.iterdir())) if new.is_dir() else 0

    def log(self) -> str:
        return (self.base / "log" / "mail.log").read_text()


@pytest.fixture(scope="module")
def smarthost() -> Iterator[Smarthost]:
    if os.geteuid() != 0:
        missing("root, as whom Postfix starts")
    if not os.path.exists(POSTFIX):
        missing("postfix, of the Debian packages in .ci/packages")
    need("saslpasswd2")
    directory = Path(tempfile.mkdtemp(prefix="qmail-smarthost-"))
    host = Smarthost(directory)
    try:
        host.start()
        yield host
    finally:
        host.stop()
        shutil.rmtree(directory)


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """QMAIL_DIR of a host without mail of its own."""
    (tmp_path / "control").mkdir()
    (tmp_path / "credentials").mkdir()
    (tmp_path / "control" / "me").write_text("null.xeris.com\n")
    return tmp_path


def send(client: Path, smarthost: Smarthost, *, trusts: bool = True) -> str:
    """qmail-remote's report about one message to joni; `trusts`: the smarthost's certificate, or none that it has."""
    environ = {**os.environ, "QMAIL_DIR": str(client)}
    if trusts:
        environ["SSL_CERT_FILE"] = str(smarthost.base / "cert.pem")
    argv = [sys.executable, "-m", "services.delivery.remote.command", "xeris.com", "ari@xeris.com", "joni@xeris.com"]
    with tempfile.TemporaryFile() as message:
        message.write(MESSAGE)
        message.seek(0)
        done = subprocess.run(
            argv, cwd=ROOT, env=environ, stdin=message, capture_output=True, timeout=SECONDS, check=True
        )
    return done.stdout.decode()


def route(client: Path, text: str) -> None:
    (client / "control" / "smtproutes").write_text(text + "\n")


def set_password(client: Path, smarthost: Smarthost, password: str = PASSWORD) -> None:
    environ = {**os.environ, "QMAIL_DIR": str(client)}
    argv = [sys.executable, "-m", "services.admin.commands.qmailctl", "routepasswd", f"{HOST}:{smarthost.port}", USER]
    subprocess.run(argv, cwd=ROOT, env=environ, input=f"{password}\n".encode(), check=True, timeout=SECONDS)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_mail_goes_by_the_smarthost_with_each_mechanism(client: Path, smarthost: Smarthost, mechanism: str) -> None:
    smarthost.offer(mechanism)
    smarthost.reload()
    route(client, f":{HOST}:{smarthost.port} user={USER}")
    set_password(client, smarthost)
    before = smarthost.arrived()
    report = send(client, smarthost)
    assert "accepted message" in report, report
    eventually(lambda: smarthost.arrived() == before + 1, "the message in joni's Maildir", SECONDS)
    assert f"sasl_method={mechanism}, sasl_username={USER}" in smarthost.log()


def test_without_a_certificate_that_is_trusted_no_password_is_said(client: Path, smarthost: Smarthost) -> None:
    route(client, f":{HOST}:{smarthost.port} user={USER}")
    set_password(client, smarthost)
    before = smarthost.log().count("sasl_method")
    report = send(client, smarthost, trusts=False)
    assert report.startswith(f"ZConnected to {HOST} but TLS failed: ") and "CERTIFICATE_VERIFY_FAILED" in report
    assert smarthost.log().count("sasl_method") == before
    route(client, f":{HOST}:{smarthost.port} user={USER} tls=encrypt")
    assert "accepted message" in send(client, smarthost, trusts=False)


def test_a_wrong_password_and_none_at_all_defer(client: Path, smarthost: Smarthost) -> None:
    route(client, f":{HOST}:{smarthost.port} user={USER} tls=encrypt")
    assert send(client, smarthost).startswith("ZSorry, control/smtproutes has a user whose password I don't have")
    set_password(client, smarthost, "wrong")
    report = send(client, smarthost)
    assert report.startswith("ZConnected to 127.0.0.1 but log-in was refused.\nRemote host said: 535 "), report


def test_a_password_in_smtproutes_is_refused_and_nothing_goes(client: Path, smarthost: Smarthost) -> None:
    route(client, f":{HOST}:{smarthost.port} {USER} {PASSWORD}")
    before = smarthost.log().count("connect from")
    assert send(client, smarthost) == "ZUnable to read control files. (#4.3.0)\n\0"
    assert smarthost.log().count("connect from") == before
