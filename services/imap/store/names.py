"""Folder names: on the wire `INBOX.Kerja.2004` in modified UTF-7, on disk `.Kerja.2004` in UTF-8 (Courier, Maildir++).

Older Couriers kept modified UTF-7 on disk as well; such directories are read, and found, under the same names.
"""

from __future__ import annotations

import os

from services.imap.grammar import mutf7
from services.imap.store.errors import InvalidName

INBOX = b"INBOX"
TRASH = b"INBOX.Trash"
MAX_NAME_BYTES = 255


def wire_name(directory: bytes) -> bytes:
    """The name on the wire of a folder's directory; b"" is the Maildir itself."""
    if not directory:
        return INBOX
    return INBOX + b"." + _wire_text(directory[1:])


def _wire_text(text: bytes) -> bytes:
    if text.isascii() and mutf7.decode(text) is not None:
        return text
    return mutf7.encode(os.fsdecode(text))


def directories(name: bytes) -> tuple[bytes, ...]:
    """The directories that may hold the folder of that name, the one to create first. Raises InvalidName."""
    if name == INBOX:
        return (b"",)
    text = mutf7.decode(name)
    if text is None or not name.startswith(INBOX + b"."):
        raise InvalidName
    path = text[len(INBOX) :]
    _check(path)
    plain, shifted = os.fsencode(path), name[len(INBOX) :]
    found = tuple(dict.fromkeys(d for d in (plain, shifted) if wire_name(d) == name))
    if not found or max(map(len, found)) > MAX_NAME_BYTES:
        raise InvalidName
    return found


def _check(path: str) -> None:
    levels = path.split(".")[1:]
    if "" in levels or "/" in path or any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise InvalidName


def parents(name: bytes) -> list[bytes]:
    """INBOX.a.b: INBOX, INBOX.a; the names above, INBOX first."""
    levels = name.split(b".")
    return [b".".join(levels[:count]) for count in range(1, len(levels))]
