"""The self-signed certificate of the first start, until the administrator puts a better one in its place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.admin.install import Installer

LIFETIME_DAYS = 3650
MAX_COMMON_NAME = 64


def make_certificate(
    host: str, now: datetime, more_names: Sequence[str] = (), key: ec.EllipticCurvePrivateKey | None = None
) -> tuple[bytes, bytes]:
    """(certificate, private key) as PEM for this host name and others, valid from a day before `now` (RFC 5280); the
    key is a new one where none is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:MAX_COMMON_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=LIFETIME_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in dict.fromkeys((host, *more_names))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def rename_certificate(directory: Path, host: str, names: Sequence[str], now: datetime, installer: Installer) -> str:
    """Give our own self-signed certificate the names of this host and its mail domains, with the key that it has;
    another's is left alone. What is to be told. Raises OSError."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    wanted = ", ".join(dict.fromkeys((host, *names)))
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return f"{certificate}: cannot be read; it should have the names {wanted}"
    ours = found.issuer == found.subject and isinstance(private, ec.EllipticCurvePrivateKey)
    if not ours or certificate.is_symlink() or key.is_symlink():
        return f"{certificate}: not made here; where people use these names for their programs, it needs them: {wanted}"
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    made, _ = make_certificate(host, now, names, private)
    installer.file(certificate, made, 0o644)
    return f"{certificate}: self-signed, for {wanted}"
