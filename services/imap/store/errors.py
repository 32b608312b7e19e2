"""Why something cannot be done in a mailbox: what the client is told, by kind. Pure."""

from __future__ import annotations

from services.imap import replies


class StoreError(Exception):
    """Something the client asked for cannot be done. `code`: RFC 5530's; `text`: one of replies, names no path."""

    code = replies.CODE_UNAVAILABLE
    default = replies.FAILED_FOR_NOW

    def __init__(self, text: bytes = b"") -> None:
        self.text = text or self.default
        super().__init__(self.text.decode())


class NoSuchMailbox(StoreError):
    """The folder does not exist."""

    code = replies.CODE_NONEXISTENT
    default = replies.NO_SUCH_MAILBOX


class ImpossibleMailbox(NoSuchMailbox):
    """It does not exist and CREATE could not make it."""

    default = replies.IMPOSSIBLE_MAILBOX


class NoSuchTarget(NoSuchMailbox):
    """COPY, MOVE and APPEND would put messages into a folder that CREATE could make (RFC 3501 section 6.3.11)."""

    code = replies.CODE_TRYCREATE


class AlreadyExists(StoreError):
    """The folder exists already."""

    code = replies.CODE_EXISTS
    default = replies.MAILBOX_EXISTS


class InvalidName(StoreError):
    """No folder can have that name."""

    code = replies.CODE_CANNOT
    default = replies.INVALID_NAME


class MaildirUnusable(StoreError):
    """The Maildir is missing, or not the account's: an administrator must look at it."""


class Busy(StoreError):
    """Too many others changed the folder at the same moment; trying again will help."""


class TooManyMessages(StoreError):
    """More messages in one command than are taken."""

    code = replies.CODE_LIMIT
    default = replies.TOO_MANY_MESSAGES


class OverQuota(StoreError):
    """The account's quota has no room for it."""

    code = replies.CODE_OVER_QUOTA
    default = replies.OVER_QUOTA


class BadFlag(StoreError):
    """A flag that a client may not set."""

    code = b""


class MessageGone(Exception):
    """The message's file no longer exists."""


class AnswerCut(Exception):
    """A message became unreadable in the middle of its answer: whatever is sent now would be taken for a part of it."""
