"""QUOTA and ACL (RFC 9208, RFC 4314). A home is its owner's alone: rights can be read, and are given to nobody else."""

from __future__ import annotations

from qmail.maildir.quota import read_quota
from services.imap import replies
from services.imap.grammar.rights import OfIdentifier
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.session.results import Answer

ROOT = b"ROOT"
_UNIT_BYTES = 1024


def get_quota(session: MailboxSession, root: bytes) -> Answer:
    """Raises StoreError, OSError."""
    if root != ROOT:
        return Answer(b"NO", replies.NO_SUCH_QUOTA_ROOT, code=replies.CODE_NONEXISTENT)
    return Answer(lines=(_quota(session),))


def get_quota_root(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    session.maildir.directory_of(name)
    return Answer(lines=(replies.quota_root(name, ROOT), _quota(session)))


def set_quota(_session: MailboxSession, _root: bytes) -> Answer:
    """`qmailctl usermod --quota` does."""
    return Answer(b"NO", replies.SETQUOTA_NO, code=replies.CODE_NO_PERMISSION)


def _quota(session: MailboxSession) -> bytes:
    quota = read_quota(session.maildir.fd)
    resources: list[tuple[bytes, int, int]] = []
    if quota is not None and quota.limits.bytes is not None:
        resources.append((b"STORAGE", -(-quota.bytes // _UNIT_BYTES), -(-quota.limits.bytes // _UNIT_BYTES)))
    if quota is not None and quota.limits.messages is not None:
        resources.append((b"MESSAGE", quota.messages, quota.limits.messages))
    return replies.quota(ROOT, resources)


def get_acl(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    session.maildir.directory_of(name)
    return Answer(lines=(replies.acl(name, session.user),))


def my_rights(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    session.maildir.directory_of(name)
    return Answer(lines=(replies.my_rights(name),))


def list_rights(session: MailboxSession, arguments: OfIdentifier) -> Answer:
    """Raises StoreError, OSError."""
    session.maildir.directory_of(arguments.mailbox)
    owner = arguments.identifier == session.user
    return Answer(lines=(replies.list_rights(arguments.mailbox, arguments.identifier, owner=owner),))


def set_acl(session: MailboxSession, arguments: OfIdentifier) -> Answer:
    """Also DELETEACL. Raises StoreError, OSError."""
    session.maildir.directory_of(arguments.mailbox)
    return Answer(b"NO", replies.OWNER_ALONE, code=replies.CODE_NO_PERMISSION)
