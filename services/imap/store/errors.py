"""Why a mailbox cannot be used: what the client may be told, by kind."""

from __future__ import annotations


class StoreError(Exception):
    """Something the client asked for cannot be done; the text is for people and names no path."""


class NoSuchMailbox(StoreError):
    """The folder does not exist; COPY and APPEND answer [TRYCREATE] (RFC 3501 section 6.3.11)."""


class ImpossibleMailbox(NoSuchMailbox):
    """It does not exist and CREATE could not make it: nobody is told to try that."""


class AlreadyExists(StoreError):
    """The folder exists already."""


class InvalidName(StoreError):
    """No folder can have that name."""


class MaildirUnusable(StoreError):
    """The Maildir is missing, or not the account's: an administrator must look at it."""


class Busy(StoreError):
    """Too many others changed the folder at the same moment; trying again will help."""


class MessageGone(Exception):
    """The message's file no longer exists."""
