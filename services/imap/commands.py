"""The table of commands. To add one: a row here, with a parser of services.imap.grammar; its operation (or, where it
belongs to the connection, its step); its test. CAPABILITY announces what the rows name, in their order.

Why: docs/decisions/0020-a-command-is-a-row.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from services.imap.grammar.connection import parse_authenticate, parse_id, parse_login, parse_words
from services.imap.grammar.folders import (
    parse_append,
    parse_create,
    parse_list,
    parse_lsub,
    parse_mailbox,
    parse_rename,
    parse_select,
    parse_status,
)
from services.imap.grammar.messages import parse_fetch, parse_set, parse_store, parse_to_mailbox
from services.imap.grammar.rights import parse_of_identifier, parse_quota_root, parse_set_acl, parse_set_quota
from services.imap.grammar.search import parse_search, parse_sort, parse_tags, parse_thread
from services.imap.operations import folders, rights
from services.imap.operations.condstore import enable
from services.imap.operations.copy import copy, move
from services.imap.operations.expunge import expunge
from services.imap.operations.fetch import fetch
from services.imap.operations.flags import store
from services.imap.operations.search import cancel, search, sort, thread
from services.imap.operations.select import check, close, examine, select, unselect
from services.imap.session import general
from services.imap.session.command import AFTER_LOGIN, ANY, BEFORE_LOGIN, SELECTED, Command, Commands, Operation
from services.imap.session.idle import idle
from services.imap.session.login import authenticate, login


def _with_uid(
    name: bytes,
    parse: Callable[..., Any],
    operation: Operation,
    *,
    capability: bytes = b"",
    tells_expunged: bool = True,
    announced: bool = False,
) -> tuple[Command, Command]:
    """A command on messages, and its twin by UID, which may always tell what is gone."""
    by_number = Command(
        name,
        SELECTED,
        partial(parse, uid=False),
        operation=operation,
        capability=capability,
        tells_expunged=tells_expunged,
        announced=announced,
    )
    uid = partial(parse, uid=True)
    return by_number, Command(b"UID " + name, SELECTED, uid, operation=operation, by_uid=True, announced=announced)


_ROWS = (
    Command(b"CAPABILITY", ANY, step=general.capability),
    Command(b"NOOP", ANY, step=general.noop, operation=check),
    Command(b"LOGOUT", ANY, step=general.logout),
    Command(b"ID", ANY, parse_id, general.identify, capability=b"ID"),
    Command(b"STARTTLS", BEFORE_LOGIN, step=general.starttls),
    Command(b"AUTHENTICATE", BEFORE_LOGIN, parse_authenticate, authenticate),
    Command(b"LOGIN", BEFORE_LOGIN, parse_login, login),
    Command(b"ENABLE", AFTER_LOGIN, parse_words, operation=enable, capability=b"ENABLE CONDSTORE QRESYNC"),
    Command(b"NAMESPACE", AFTER_LOGIN, step=general.namespace, capability=b"NAMESPACE"),
    Command(b"IDLE", AFTER_LOGIN, step=idle, capability=b"IDLE"),
    Command(b"SELECT", AFTER_LOGIN, parse_select, operation=select),
    Command(b"EXAMINE", AFTER_LOGIN, parse_select, operation=examine),
    Command(b"CREATE", AFTER_LOGIN, parse_create, operation=folders.create, capability=b"CREATE-SPECIAL-USE"),
    Command(b"DELETE", AFTER_LOGIN, parse_mailbox, operation=folders.delete, announced=True),
    Command(b"RENAME", AFTER_LOGIN, parse_rename, operation=folders.rename, announced=True),
    Command(b"SUBSCRIBE", AFTER_LOGIN, parse_mailbox, operation=folders.subscribe),
    Command(b"UNSUBSCRIBE", AFTER_LOGIN, parse_mailbox, operation=folders.unsubscribe),
    Command(
        b"LIST",
        AFTER_LOGIN,
        parse_list,
        operation=folders.listing,
        capability=b"CHILDREN LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS SPECIAL-USE",
    ),
    Command(b"LSUB", AFTER_LOGIN, parse_lsub, operation=folders.lsub),
    Command(b"XLIST", AFTER_LOGIN, parse_lsub, operation=folders.xlist, capability=b"XLIST"),
    Command(b"STATUS", AFTER_LOGIN, parse_status, operation=folders.status, capability=b"STATUS=SIZE"),
    Command(b"GETQUOTAROOT", AFTER_LOGIN, parse_mailbox, operation=rights.get_quota_root),
    Command(
        b"GETQUOTA",
        AFTER_LOGIN,
        parse_quota_root,
        operation=rights.get_quota,
        capability=b"QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE",
    ),
    Command(b"SETQUOTA", AFTER_LOGIN, parse_set_quota, operation=rights.set_quota),
    Command(b"GETACL", AFTER_LOGIN, parse_mailbox, operation=rights.get_acl, capability=b"ACL RIGHTS=ektx"),
    Command(b"MYRIGHTS", AFTER_LOGIN, parse_mailbox, operation=rights.my_rights),
    Command(b"LISTRIGHTS", AFTER_LOGIN, parse_of_identifier, operation=rights.list_rights),
    Command(b"SETACL", AFTER_LOGIN, parse_set_acl, operation=rights.set_acl),
    Command(b"DELETEACL", AFTER_LOGIN, parse_of_identifier, operation=rights.set_acl),
    # Its message goes through in pieces: services.imap.session.append.
    Command(b"APPEND", AFTER_LOGIN, parse_append, takes_message=True, capability=b"MULTIAPPEND"),
    Command(b"CHECK", SELECTED, operation=check),
    Command(b"CLOSE", SELECTED, operation=close, announced=True),
    Command(b"UNSELECT", SELECTED, operation=unselect, capability=b"UNSELECT"),
    Command(b"EXPUNGE", SELECTED, operation=expunge, announced=True),
    Command(b"UID EXPUNGE", SELECTED, parse_set, operation=expunge, capability=b"UIDPLUS", announced=True),
    *_with_uid(
        b"SEARCH",
        parse_search,
        search,
        capability=b"ESEARCH SEARCHRES WITHIN CONTEXT=SEARCH PARTIAL I18NLEVEL=1",
        tells_expunged=False,
    ),
    *_with_uid(b"SORT", parse_sort, sort, capability=b"SORT SORT=DISPLAY ESORT CONTEXT=SORT", tells_expunged=False),
    Command(b"CANCELUPDATE", SELECTED, parse_tags, operation=cancel),
    *_with_uid(
        b"THREAD",
        parse_thread,
        thread,
        capability=b"THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS",
        tells_expunged=False,
    ),
    *_with_uid(b"FETCH", parse_fetch, fetch, capability=b"PREVIEW SAVEDATE OBJECTID", tells_expunged=False),
    *_with_uid(b"STORE", parse_store, store, tells_expunged=False, announced=True),
    *_with_uid(b"COPY", parse_to_mailbox, copy, announced=True),
    *_with_uid(b"MOVE", parse_to_mailbox, move, capability=b"MOVE", announced=True),
)
COMMANDS: Final[Commands] = {row.name: row for row in _ROWS}
