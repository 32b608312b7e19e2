"""Alias files as qmail-local would meet them (dot-qmail(5), qmail-local(8)), and the certificate with its key."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from qmail.accounts.dot_qmail import is_program_without_bar
from qmail.message.printable import printable

DOT_QMAIL = ".qmail"
CATCH_ALL = ".qmail-default"
#: Who may not write: others (qmail's conf-patrn 002).
_FORBIDDEN_MODE = 0o002
_LAST_DAYS = timedelta(days=14)
_LOOKED_AT_BYTES = 64 * 1024


def alias_faults(directory: Path, uid: int | None) -> Iterator[str]:
    """What keeps mail for aliases from being delivered. uid: alias's; None where everything is one uid's.

    Raises OSError where the directory cannot be read."""
    mode = directory.stat().st_mode
    if mode & _FORBIDDEN_MODE:
        yield f"{directory}: mode {stat.S_IMODE(mode):04o}: others may write; expected 0755, or all its mail waits"
    if mode & stat.S_ISVTX:
        yield f"{directory}: sticky: its mail waits while somebody edits; expected chmod -t"
    for path in sorted(directory.iterdir()):
        if path.name.startswith(DOT_QMAIL):
            yield from (f"{path}: {fault}" for fault in _alias_file(path, uid))


def _alias_file(path: Path, uid: int | None) -> Iterator[str]:
    try:
        found = path.stat()
    except OSError as error:
        yield f"{error.strerror}; expected a readable file"
        return
    if not stat.S_ISREG(found.st_mode):
        yield "no file; expected lines as in .qmail"
        return
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & _FORBIDDEN_MODE:
        yield f"{mode}: others may write; expected 0644, or mail for it waits"
    if uid is not None and not found.st_mode & (stat.S_IRUSR if found.st_uid == uid else stat.S_IROTH):
        yield f"{mode}, uid {found.st_uid}; expected a file that alias can read, as 0644"
    extension = path.name.removeprefix(DOT_QMAIL)
    if extension != extension.lower():
        yield "never read, since addresses are looked up in lower case"
    if "." in extension:
        right = DOT_QMAIL + extension.replace(".", ":")
        yield f"never read, since a dot in an address is a colon here; expected {right}"
    yield from _alias_lines(path)


def _alias_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.endswith(b"\r"):
            yield f"line {number} ends with CR, which qmail-local takes as a part of it; expected LF alone"
            return


def dot_qmail_notes(directories: Iterable[Path]) -> Iterator[str]:
    """Lines of .qmail files, the aliases' and the users', that are taken as they are and may not be meant."""
    for directory in directories:
        for path in _dot_qmails(directory):
            for number, line in enumerate(_content(path).split(b"\n"), 1):
                if is_program_without_bar(line):
                    yield f"{path}: line {number}: {printable(line)} is an mbox of that name; a program has | before it"


def _dot_qmails(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.name.startswith(DOT_QMAIL))
    except OSError:
        return []  # a home that is not there yet, or not ours to see


def _content(path: Path) -> bytes:
    """As far as a person writes it; nothing where it is no file. A link may lead anywhere, and is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        return file.read(_LOOKED_AT_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def postmaster_faults(alias: Path, accounts: set[str]) -> Iterator[str]:
    """RFC 5321 4.5.1: mail to postmaster must arrive."""
    if "postmaster" not in accounts and not any((alias / name).exists() for name in (".qmail-postmaster", CATCH_ALL)):
        yield f"{alias / '.qmail-postmaster'}: missing; expected an address, since every domain has a postmaster"


def certificate_faults(directory: Path, host: str, now: datetime) -> list[str]:
    """What keeps TLS from being offered, or soon will: fit, dates, and this host's name where it is known."""
    paths = directory / "cert.pem", directory / "key.pem"
    try:
        certificate = x509.load_pem_x509_certificates(paths[0].read_bytes())[0]
    except (OSError, ValueError) as error:
        return [f"{paths[0]}: {_why(error)}; expected the certificate in PEM, without it there is no TLS"]
    try:
        key = load_pem_private_key(paths[1].read_bytes(), None)
    except TypeError:
        return [f"{paths[1]}: has a pass phrase; expected a key without one, nobody is there to type it"]
    except (OSError, ValueError) as error:
        return [f"{paths[1]}: {_why(error)}; expected the certificate's key in PEM"]
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        return [f"{paths[1]}: not the key of {paths[0]}; expected the pair that belongs together"]
    return list(_dates_and_name(paths[0], certificate, host, now))


def _dates_and_name(path: Path, certificate: x509.Certificate, host: str, now: datetime) -> Iterator[str]:
    ends = certificate.not_valid_after_utc
    if ends <= now + _LAST_DAYS:
        yield f"{path}: {'ended' if ends <= now else 'ends'} on {ends:%Y-%m-%d}; expected a newer one"
    if certificate.not_valid_before_utc > now:
        yield f"{path}: begins on {certificate.not_valid_before_utc:%Y-%m-%d}; expected one that is valid now"
    names = _names(certificate)
    if host and not names & {host, f"*.{host.partition('.')[2]}"}:
        yield f"{path}: for {', '.join(sorted(names)) or 'no name'}; expected {host} (control/me) among its names"


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return {name.lower() for name in found.value.get_values_for_type(x509.DNSName)}


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "cannot be understood"
