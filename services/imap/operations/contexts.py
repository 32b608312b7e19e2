"""Results that a client is kept informed of: SEARCH and SORT with RETURN (UPDATE) (RFC 5267 section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from services.imap import replies
from services.imap.grammar.search import Criterion
from services.imap.mailbox.selected import Selected
from services.imap.operations.candidate import bounds_of, look
from services.imap.search.esearch import render_update
from services.imap.search.match import bind
from services.imap.search.program import Key
from services.imap.search.sort import SortKey, sort_key, sort_numbers


class Context:
    """A `mailbox.selected.Watcher`. `found`: the result so far."""

    def __init__(
        self, tag: bytes, key: Key, criteria: tuple[Criterion, ...], found: list[tuple[SortKey, int]], *, uid: bool
    ) -> None:
        self._tag = tag
        self._key = key
        self._criteria = criteria
        self._uid = uid
        self._found = {number: value for value, number in found}

    def removed(self, selected: Selected, uids: Sequence[int]) -> list[bytes]:
        """These messages are about to be told as gone."""
        return self._update(selected, b"REMOVEFROM", [uid for uid in uids if uid in self._found])

    def changed(self, selected: Selected, uids: Sequence[int]) -> list[bytes]:
        """These messages are new, or have other flags."""
        bound = bind(self._key, bounds_of(selected))
        joined: dict[int, SortKey] = {}
        left: list[int] = []
        for uid in uids:
            try:
                value = look(selected, uid, bound, lambda one: sort_key(self._criteria, one))
            except OSError:
                value = None
            if value is None and uid in self._found:
                left.append(uid)
            elif value is not None and uid not in self._found:
                joined[uid] = value
        lines = self._update(selected, b"REMOVEFROM", left)
        self._found.update(joined)
        return lines + self._update(selected, b"ADDTO", list(joined))

    def _update(self, selected: Selected, verb: bytes, uids: list[int]) -> list[bytes]:
        """Without an order all in one line; in an order each with its place, as it is when its turn comes."""
        removes = verb == b"REMOVEFROM"
        lines = []
        if uids and not self._criteria:
            lines.append(self._line(selected, verb, 0, uids))
        elif uids:
            places = {uid: place for place, uid in enumerate(self._order(), 1)}
            for uid in sorted(uids, key=places.__getitem__, reverse=removes):
                lines.append(self._line(selected, verb, places[uid], [uid]))
        for uid in uids if removes else ():
            del self._found[uid]
        return lines

    def _order(self) -> list[int]:
        return sort_numbers(self._criteria, [(value, uid) for uid, value in sorted(self._found.items())])

    def _line(self, selected: Selected, verb: bytes, position: int, uids: list[int]) -> bytes:
        numbers = uids if self._uid else [selected.view.number(uid) for uid in uids]
        return replies.untagged(render_update(self._tag, verb, position, numbers, uid=self._uid))
