"""One message of a folder: a value that all sessions share."""

from __future__ import annotations

from dataclasses import dataclass

from services.imap.flags import Keywords


@dataclass(frozen=True, slots=True)
class Message:
    """`flags` are the letters of its file name, maildir(5); `path` is below the folder."""

    uid: int
    base: bytes
    path: bytes
    flags: bytes
    keywords: Keywords
