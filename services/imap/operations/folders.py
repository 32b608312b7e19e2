"""LIST, LSUB, STATUS, CREATE, DELETE, RENAME and subscriptions (RFC 3501 section 6.3, RFC 5258, RFC 5819, RFC 6154)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from qmail.maildir.names import flagged_name
from services.imap import replies
from services.imap.grammar.folders import Create, List, Lsub, Rename, Status
from services.imap.grammar.patterns import Pattern, compile_pattern
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.operations.condstore import begin
from services.imap.operations.ready import total_size
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
    b"INBOX.Archive": b"\\Archive",
}


def create(session: MailboxSession, arguments: Create) -> Answer:
    """Raises StoreError, OSError."""
    # With a delimiter at the end children are announced, which every folder may have; the name made is without it (RFC
    # 3501 section 6.3.3).
    name = arguments.mailbox.removesuffix(b".")
    if any(SPECIAL.get(name, b"").lower() != use for use in arguments.use):
        return Answer(b"NO", replies.OTHER_USE, code=replies.CODE_USE_ATTRIBUTE)
    if name == INBOX:
        raise AlreadyExists
    directory = session.maildir.create(name)
    with _opened(session.maildir, directory) as mailbox:
        return Answer(code=replies.mailbox_id(mailbox.validity) if mailbox.sticky else b"")


def delete(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    session.maildir.delete(name)
    session.counted().anew()
    return Answer()


def rename(session: MailboxSession, arguments: Rename) -> Answer:
    """Renaming INBOX moves its messages into a new folder (RFC 3501 section 6.3.5). Raises StoreError, OSError."""
    if arguments.mailbox == INBOX:
        _move_inbox(session.maildir, arguments.to)
    else:
        session.maildir.rename(arguments.mailbox, arguments.to)
    session.counted().anew()
    return Answer()


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


def subscribe(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    change_subscription(session.maildir.fd, _plain(name), subscribed=True)
    return Answer()


def unsubscribe(session: MailboxSession, name: bytes) -> Answer:
    """Raises StoreError, OSError."""
    change_subscription(session.maildir.fd, _plain(name), subscribed=False)
    return Answer()


def _plain(name: bytes) -> bytes:
    if not name or len(name) > 1000 or any(octet < 32 for octet in name):
        raise InvalidName
    return name


def listing(session: MailboxSession, arguments: List) -> Answer:
    """Raises StoreError, OSError."""
    if arguments.patterns == (b"",) and not arguments.select:
        return Answer(lines=(replies.DELIMITER,))
    maildir = session.maildir
    folders = maildir.folders()
    subscribed = frozenset(read_subscriptions(maildir.fd))
    lines: list[bytes] = []
    for name, attributes, extra in _listed(arguments, folders, subscribed):
        lines.append(replies.listed(b"LIST", attributes, name, extra))
        if b"MYRIGHTS" in arguments.give and name in folders:
            lines.append(replies.my_rights(name))  # RFC 8440
        if arguments.status and name in folders:
            # RFC 5819 section 2: where the status cannot be had, its line is left out.
            with contextlib.suppress(StoreError, OSError):
                lines.append(replies.status(name, _status_of(maildir, folders[name], arguments.status)))
    return Answer(lines=tuple(lines))


def _listed(
    arguments: List, folders: dict[bytes, bytes], subscribed: frozenset[bytes]
) -> Iterable[tuple[bytes, list[bytes], bytes]]:
    """Name, attributes and extended data of each answer."""
    chosen = set(folders)
    if b"SUBSCRIBED" in arguments.select:
        chosen = set(subscribed)
    if b"SPECIAL-USE" in arguments.select:
        chosen &= SPECIAL.keys() & folders.keys()
    recursive = b"RECURSIVEMATCH" in arguments.select
    with_children = frozenset(parent for name in folders for parent in parents(name))
    patterns = [compile_pattern(arguments.reference, pattern) for pattern in arguments.patterns]
    matched = {name for name in chosen | with_children | _above(chosen) if _matches(patterns, name)}
    # CHILDINFO speaks of what is below and not itself in the answer (RFC 5258 section 4).
    child_info = _above(chosen - matched) if recursive else frozenset()
    shown = matched & (chosen | (child_info if arguments.select else with_children))
    tell_subscribed = b"SUBSCRIBED" in (*arguments.select, *arguments.give)
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


def xlist(session: MailboxSession, arguments: Lsub) -> Answer:
    """LIST as Outlook 2013 and old Android programs ask it: special uses without a word, and \\Inbox with them. Raises
    StoreError, OSError."""
    folders = session.maildir.folders()
    asked = List(arguments.reference, (arguments.pattern,))
    lines = []
    for name, attributes, _ in _listed(asked, folders, frozenset()):
        uses = [*attributes, b"\\Inbox"] if name == INBOX else attributes
        lines.append(replies.listed(b"XLIST", uses, name))
    return Answer(lines=tuple(lines))


def lsub(session: MailboxSession, arguments: Lsub) -> Answer:
    """Raises StoreError, OSError."""
    pattern = compile_pattern(arguments.reference, arguments.pattern)
    subscribed = read_subscriptions(session.maildir.fd)
    lines = []
    if pattern is not None:
        found: dict[bytes, tuple[bytes, ...]] = {name: () for name in subscribed if pattern.match(name)}
        # With % a name above a subscribed one stands for it (RFC 3501 section 6.3.9).
        above = {parent for name in subscribed for parent in parents(name) if pattern.match(parent)}
        if b"%" in arguments.pattern:
            found.update({name: (b"\\Noselect",) for name in sorted(above) if name not in subscribed})
        lines = [replies.listed(b"LSUB", attributes, name) for name, attributes in found.items()]
    return Answer(lines=tuple(lines))


def status(session: MailboxSession, arguments: Status) -> Answer:
    """Raises StoreError, OSError."""
    maildir = session.maildir
    begun = begin(session) if b"HIGHESTMODSEQ" in arguments.items else ()
    items = _status_of(maildir, maildir.directory_of(arguments.mailbox), arguments.items)
    return Answer(lines=(*begun, replies.status(arguments.mailbox, items)))


@contextlib.contextmanager
def _opened(maildir: Maildir, directory: bytes) -> Iterator[Mailbox]:
    """A folder as it is now, for a look. Raises StoreError, OSError."""
    try:
        mailbox = maildir.open(directory, read_only=True)
        try:
            mailbox.refresh()
            yield mailbox
        finally:
            mailbox.close()
    except FileNotFoundError as error:
        raise NoSuchMailbox from error


def _status_of(maildir: Maildir, directory: bytes, wanted: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    with _opened(maildir, directory) as mailbox:
        return [(item, _STATUS[item](mailbox)) for item in dict.fromkeys(wanted)]


def _number(count: Callable[[Mailbox], int]) -> Callable[[Mailbox], bytes]:
    return lambda mailbox: b"%d" % count(mailbox)


_STATUS: dict[bytes, Callable[[Mailbox], bytes]] = {
    b"MESSAGES": _number(lambda mailbox: len(mailbox.messages)),
    b"RECENT": _number(lambda mailbox: len(mailbox.recent)),
    b"UIDNEXT": _number(lambda mailbox: mailbox.next_uid),
    b"UIDVALIDITY": _number(lambda mailbox: mailbox.validity),
    b"UNSEEN": _number(lambda mailbox: mailbox.unseen()[0]),
    b"DELETED": _number(lambda mailbox: sum(b"T" in message.flags for message in mailbox.messages.values())),
    b"SIZE": _number(total_size),
    b"HIGHESTMODSEQ": _number(lambda mailbox: mailbox.folder.track().highest),
    b"MAILBOXID": lambda mailbox: b"(F%d)" % mailbox.validity,
}
