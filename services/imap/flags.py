"""IMAP flags and the letters in Maildir file names (RFC 3501 section 2.3.2, maildir(5)). Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.imap import replies
from services.imap.store.errors import BadFlag

# Of a folder, and of one keyword.
MAX_KEYWORDS = 200
MAX_KEYWORD_BYTES = 200
Keywords = frozenset[bytes]
NONE: Keywords = frozenset()
_LETTERS = {
    b"\\draft": b"D",
    b"\\answered": b"R",
    b"\\flagged": b"F",
    b"\\deleted": b"T",
    b"\\seen": b"S",
}
NAMES = {b"D": b"\\Draft", b"R": b"\\Answered", b"F": b"\\Flagged", b"T": b"\\Deleted", b"S": b"\\Seen"}
SYSTEM_LETTERS = b"DFRST"
SYSTEM = b" ".join(NAMES.values())
_KEYWORD = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]:/]+\Z')


@dataclass(frozen=True, slots=True)
class FlagSet:
    """Flags as given by a client."""

    letters: bytes
    keywords: Keywords


def parse_flags(names: Iterable[bytes]) -> FlagSet:
    """Raises BadFlag for unknown system flags and impossible keywords. \\Recent, not for clients, is left out."""
    letters, keywords = set(), set()
    for name in names:
        letter = _LETTERS.get(name.lower())
        if letter is not None:
            letters.add(letter)
        elif name.startswith(b"\\"):
            if name.lower() != b"\\recent":
                raise BadFlag(replies.NO_SUCH_FLAG)
        elif len(name) > MAX_KEYWORD_BYTES or _KEYWORD.match(name) is None:
            raise BadFlag(replies.IMPOSSIBLE_KEYWORD)
        else:
            keywords.add(name)
    return FlagSet(b"".join(sorted(letters)), frozenset(keywords))


def canonical(keywords: Keywords, known: Sequence[bytes]) -> Keywords:
    """Keywords in the case in which the folder knows them (flags are not case-sensitive). Raises BadFlag when full."""
    spelled = {name.lower(): name for name in reversed(known)}
    mine = frozenset(spelled.get(name.lower(), name) for name in keywords)
    if len(mine.union(known)) > max(MAX_KEYWORDS, len(set(known))):
        raise BadFlag(replies.TOO_MANY_KEYWORDS)
    return mine


def taken_along(keywords: Keywords, known: Sequence[bytes]) -> Keywords:
    """Keywords of a message that comes into another folder: in its case, and none that it has no room for."""
    taken: set[bytes] = set()
    for name in sorted(keywords):
        with contextlib.suppress(BadFlag):
            taken |= canonical(frozenset((name,)), (*known, *taken))
    return frozenset(taken)


def changed(letters: bytes, keywords: Keywords, mode: bytes, given: FlagSet) -> tuple[bytes, Keywords]:
    """A message's letters and keywords after STORE. Letters that IMAP does not know are kept."""
    old, new = set(letters), set(given.letters)
    if mode == b"+":
        return bytes(sorted(old | new)), keywords | given.keywords
    if mode == b"-":
        return bytes(sorted(old - new)), keywords - given.keywords
    return bytes(sorted(old - set(SYSTEM_LETTERS) | new)), given.keywords


def render_flags(letters: bytes, keywords: Iterable[bytes], *, recent: bool) -> bytes:
    """`(\\Seen Kerja)`."""
    names = [name for letter, name in NAMES.items() if letter in letters]
    names += sorted(keywords)
    if recent:
        names.append(b"\\Recent")
    return b"(" + b" ".join(names) + b")"
