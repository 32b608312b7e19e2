"""What a command can be wrong with."""

from __future__ import annotations


class BadSyntax(Exception):
    """The command is not IMAP; the text says where, without echoing more than a word of it."""
