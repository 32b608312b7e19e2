"""Files below control/ that nobody reads, and what their authors may have meant."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from qmail.control.table import TABLE

# Of qmail's, its patches', and the tutorial: what each asks for, and where that is here.
_MEANT = {
    "aliasempty": "defaultdelivery says what is done without a .qmail",
    "authldaprc": "it belongs in auth/",
    "authpgsqlrc": "it belongs in auth/",
    "badhelo": "names given at HELO are not judged",
    "badmailto": "recipients are refused by badrcptto",
    "clientcert.pem": "we show other hosts no certificate",
    "concurrencypop3d": "did you mean concurrencypop3?",
    "concurrencysmtpd": "did you mean concurrencyincoming?",
    "morercpthosts.cdb": "morercpthosts is read as text, no cdb is needed",
    "servercert.pem": "the certificate is tls/cert.pem, its key tls/key.pem",
    "tcp.smtp.cdb": "tcp.smtp is read as text, no cdb is needed",
}
#: Files of other places that hold a password. Whoever reads control/, users' programs too, could read it.
SECRETS = frozenset({"authldaprc", "authpgsqlrc"})
# What editors, package managers and careful people leave beside a file.
_LEFT_BY_EDITORS = (".bak", ".dist", ".new", ".old", ".orig", ".save", ".swp", "~")


def unread(names: Iterable[str]) -> dict[str, str]:
    """Of these file names those that are never read, each with a sentence that says so and what may be meant."""
    known = [file.name for file in TABLE]
    return {name: _sentence(name, known) for name in sorted(names) if name not in known and not _is_nobodys(name)}


def unread_in(directory: Path) -> dict[str, str]:
    """The same for what lies in a control directory. Raises OSError."""
    return unread(os.listdir(directory))


def _is_nobodys(name: str) -> bool:
    return name.startswith((".", "#")) or name.endswith(_LEFT_BY_EDITORS)


def _sentence(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower(), known, 1)
    meant = _MEANT.get(name) or (f"did you mean {close[0]}?" if close else "no program of ours has such a file")
    return f"control/{name} is never read; {meant}"
