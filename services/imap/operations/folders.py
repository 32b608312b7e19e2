"""LIST, LSUB, STATUS, CREATE, DELETE, RENAME and subscriptions (RFC 3501 section 6.3, RFC 5258, RFC 5819, RFC 6154)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from qmail.maildir.names import flagged_name
from services.imap import replies
from services.imap.grammar import commands as c
from services.imap.grammar.patterns import Pattern, compile_pattern
from services.imap.session.results import Answer
from services.imap.store import files
from services.imap.store.errors import AlreadyExists, InvalidName, NoSuchMailbox, StoreError
from services.imap.store.keywords import write_keywords
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.names import INBOX, parents
from services.imap.store.subscriptions import change_subscription, read_subscriptions

SPECIAL = {
    b"INBOX.Drafts": b"\\Drafts",
    b"INBOX.Sent": b"\\Sent",
    b"INBOX.Trash": b"\\Trash",
    b"INBOX.Junk": b"\\Junk",
}


def create(maildir: Maildir, command: c.Create) -> Answer:
    """Raises StoreError, OSError."""
    # With a delimiter at the end children are announced, which every folder may have; the name made is without it (RFC
    # 3501 section 6.3.3).
    name = command.mailbox.removesuffix(b".")
    if any(SPECIAL.get(name, b"").lower() != use for use in command.use):
        return Answer(b"NO", b"That use goes with another name.", code=b"USEATTR")
    if name == INBOX:
        raise AlreadyExists("Mailbox exists already.")
    maildir.create(name)
    return Answer(b"OK", replies.completed(b"CREATE"))


def delete(maildir: Maildir, command: c.Delete) -> Answer:
    """Raises StoreError, OSError."""
    maildir.delete(command.mailbox)
    return Answer(b"OK", replies.completed(b"DELETE"))


def rename(maildir: Maildir, command: c.Rename) -> Answer:
    """Renaming INBOX moves its messages into a new folder (RFC 3501 section 6.3.5). Raises StoreError, OSError."""
    if command.mailbox == INBOX:
        _move_inbox(maildir, command.to)
    else:
        maildir.rename(command.mailbox, command.to)
    return Answer(b"OK", replies.completed(b"RENAME"))


def _move_inbox(maildir: Maildir, to: bytes) -> None:
    target = maildir.open(maildir.create(to), read_only=True)
    source = maildir.open(b"", read_only=False)
    try:
        source.refresh()
        for uid in tuple(source.messages):
            _move_message(source, uid, target)
        files.sync_directory(target.fd, b"cur")
    finally:
        source.close()
        target.close()


def _move_message(source: Mailbox, uid: int, target: Mailbox) -> None:
    """Under its name, with its keywords; as it is named by then, and not at all when it is gone by then."""
    message = source.messages.get(uid)
    while message is not None:
        if message.keywords:  # the new folder has none yet, so there is room for as many as INBOX has
            write_keywords(target.fd, message.base, message.keywords)
        path = b"cur/" + flagged_name(message.base, message.flags)
        try:
            os.rename(message.path, path, src_dir_fd=source.fd, dst_dir_fd=target.fd)
        except FileNotFoundError:
            found = source.find(uid)
            if found == message:
                raise  # what is missing is the new folder
            message = found
            continue
        return


def subscribe(maildir: Maildir, command: c.Subscribe) -> Answer:
    """Raises StoreError, OSError."""
    change_subscription(maildir.fd, _plain(command.mailbox), subscribed=True)
    return Answer(b"OK", replies.completed(b"SUBSCRIBE"))


def unsubscribe(maildir: Maildir, command: c.Unsubscribe) -> Answer:
    """Raises StoreError, OSError."""
    change_subscription(maildir.fd, _plain(command.mailbox), subscribed=False)
    return Answer(b"OK", replies.completed(b"UNSUBSCRIBE"))


def _plain(name: bytes) -> bytes:
    if not name or len(name) > 1000 or any(octet < 32 for octet in name):
        raise InvalidName("Invalid mailbox name.")
    return name


def listing(maildir: Maildir, command: c.List) -> Answer:
    """Raises StoreError, OSError."""
    done = Answer(b"OK", replies.completed(b"LIST"))
    if command.patterns == (b"",) and not command.select:
        return Answer(b"OK", done.text, (replies.DELIMITER,))
    folders = maildir.folders()
    subscribed = frozenset(read_subscriptions(maildir.fd))
    lines: list[bytes] = []
    for name, attributes, extra in _listed(command, folders, subscribed):
        lines.append(replies.listed(b"LIST", attributes, name, extra))
        if command.status and name in folders:
            # RFC 5819 section 2: where the status cannot be had, its line is left out.
            with contextlib.suppress(StoreError, OSError):
                lines.append(replies.status(name, _status_of(maildir, folders[name], command.status)))
    return Answer(b"OK", done.text, tuple(lines))


def _listed(
    command: c.List, folders: dict[bytes, bytes], subscribed: frozenset[bytes]
) -> Iterable[tuple[bytes, list[bytes], bytes]]:
    """Name, attributes and extended data of each answer."""
    chosen = set(folders)
    if b"SUBSCRIBED" in command.select:
        chosen = set(subscribed)
    if b"SPECIAL-USE" in command.select:
        chosen &= SPECIAL.keys() & folders.keys()
    recursive = b"RECURSIVEMATCH" in command.select
    with_children = frozenset(parent for name in folders for parent in parents(name))
    patterns = [compile_pattern(command.reference, pattern) for pattern in command.patterns]
    matched = {name for name in chosen | with_children | _above(chosen) if _matches(patterns, name)}
    # CHILDINFO speaks of what is below and not itself in the answer (RFC 5258 section 4).
    child_info = _above(chosen - matched) if recursive else frozenset()
    shown = matched & (chosen | (child_info if command.select else with_children))
    tell_subscribed = b"SUBSCRIBED" in (*command.select, *command.give)
    for name in sorted(shown, key=lambda one: (one != INBOX, one)):
        attributes = _attributes(name, with_children, folders)
        if tell_subscribed and name in subscribed:
            attributes.append(b"\\Subscribed")
        yield name, attributes, b' ("CHILDINFO" ("SUBSCRIBED"))' if name in child_info else b""


def _above(names: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(parent for name in names for parent in parents(name))


def _matches(patterns: Iterable[Pattern | None], name: bytes) -> bool:
    return any(pattern is not None and pattern.match(name) for pattern in patterns)


def _attributes(name: bytes, with_children: frozenset[bytes], folders: dict[bytes, bytes]) -> list[bytes]:
    if name not in folders:
        return [b"\\Noselect", b"\\HasChildren"] if name in with_children else [b"\\NonExistent"]
    found = [b"\\HasChildren" if name in with_children else b"\\HasNoChildren"]
    if name in SPECIAL:
        found.append(SPECIAL[name])
    return found


def lsub(maildir: Maildir, command: c.Lsub) -> Answer:
    """Raises StoreError, OSError."""
    pattern = compile_pattern(command.reference, command.pattern)
    subscribed = read_subscriptions(maildir.fd)
    lines = []
    if pattern is not None:
        found: dict[bytes, tuple[bytes, ...]] = {name: () for name in subscribed if pattern.match(name)}
        # With % a name above a subscribed one stands for it (RFC 3501 section 6.3.9).
        above = {parent for name in subscribed for parent in parents(name) if pattern.match(parent)}
        if b"%" in command.pattern:
            found.update({name: (b"\\Noselect",) for name in sorted(above) if name not in subscribed})
        lines = [replies.listed(b"LSUB", attributes, name) for name, attributes in found.items()]
    return Answer(b"OK", replies.completed(b"LSUB"), tuple(lines))


def status(maildir: Maildir, command: c.Status) -> Answer:
    """Raises StoreError, OSError."""
    items = _status_of(maildir, maildir.directory_of(command.mailbox), command.items)
    return Answer(b"OK", replies.completed(b"STATUS"), (replies.status(command.mailbox, items),))


def _status_of(maildir: Maildir, directory: bytes, wanted: tuple[bytes, ...]) -> list[tuple[bytes, int]]:
    try:
        mailbox = maildir.open(directory, read_only=True)
        try:
            mailbox.refresh()
        finally:
            mailbox.close()
    except FileNotFoundError as error:
        raise NoSuchMailbox("No such mailbox.") from error
    return [(item, _status_item(mailbox, item)) for item in dict.fromkeys(wanted)]


def _status_item(mailbox: Mailbox, item: bytes) -> int:
    messages = mailbox.messages.values()
    match item:
        case b"MESSAGES":
            return len(mailbox.messages)
        case b"RECENT":
            return len(mailbox.recent)
        case b"UIDNEXT":
            return mailbox.next_uid
        case b"UIDVALIDITY":
            return mailbox.validity
    return sum(b"S" not in message.flags for message in messages)  # UNSEEN
