"""UIDs where no list can be stored: on a full or read-only disk, or where the account has no right to write.

People must be able to read their mail and to delete some, but a UID that is not stored is no promise: the client is
told so (UIDNOTSTICKY, RFC 4315 section 4), under a UIDVALIDITY that no stored list will have. Sessions of one process
share a folder's list, so that one opened after the other means the same messages.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable

from services.imap.store.uidlist import UidList
from services.imap.store.validity import passing_validity

# Lists that are remembered for the next session, and messages in all of them. Who has one open keeps it.
MAX_LISTS = 1000
MAX_MESSAGES = 500_000


class TransientList:
    """A folder's UIDs in memory. Any thread; each state is left as it is once it was given out."""

    def __init__(self, validity: int) -> None:
        self._lock = threading.Lock()
        self.state = UidList(validity=validity)

    def number(self, bases: Iterable[bytes]) -> UidList:
        """The state in which each of these messages has a UID; the new ones in this order."""
        with self._lock:
            known = self.state
            fresh = [base for base in bases if base not in known.uids]
            if fresh:
                uids = {**known.uids, **{base: uid for uid, base in enumerate(fresh, known.next_uid)}}
                after = known.next_uid + len(fresh)
                self.state = UidList(validity=known.validity, next_uid=after, recent=after, uids=uids)
            return self.state


_lists: OrderedDict[tuple[int, int], TransientList] = OrderedDict()
_lists_lock = threading.Lock()


def transient_list(maildir: int, folder: int) -> TransientList:
    """The list of an open folder, which other sessions may have begun. Raises OSError."""
    key = _key(folder)
    with _lists_lock:
        found = _lists.pop(key, None) or TransientList(passing_validity(maildir))
        _lists[key] = found
        while len(_lists) > 1 and _too_many():
            _lists.popitem(last=False)
        return found


def forget_transient(folder: int) -> None:
    """A list could be stored again: the next session has that."""
    if _lists:
        with _lists_lock:
            _lists.pop(_key(folder), None)


def _key(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _too_many() -> bool:
    return len(_lists) > MAX_LISTS or sum(len(one.state.uids) for one in _lists.values()) > MAX_MESSAGES
