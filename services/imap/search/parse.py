"""Tokens of a SEARCH command to keys (RFC 3501 6.4.4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.sequence import parse_sequence_set
from services.imap.grammar.tokens import String, Token
from services.imap.search import program as p
from services.imap.search.charset import codec, fold

#: NOT, OR and parentheses may be nested so deep.
MAX_DEPTH = 100
#: Keys in one command, and those among them that look through a whole message.
MAX_KEYS = 500
MAX_TEXT_KEYS = 32

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), start=1
    )
}
_RECENT = p.Flag(b"\\Recent")
_SEEN = p.Flag(b"\\Seen")
_FIXED: dict[bytes, p.Key] = {
    b"ALL": p.All(),
    b"SAVEDATESUPPORTED": p.All(),
    b"NEW": p.And((_RECENT, p.Not(_SEEN))),
    b"OLD": p.Not(_RECENT),
    b"RECENT": _RECENT,
}
for _name in (b"Answered", b"Deleted", b"Draft", b"Flagged", b"Seen"):
    _FIXED[_name.upper()] = p.Flag(b"\\" + _name)
    _FIXED[b"UN" + _name.upper()] = p.Not(p.Flag(b"\\" + _name))


class BadCharset(Exception):
    """A charset that is not known here: NO [BADCHARSET]."""


def parse_search(keys: tuple[Token, ...], charset: bytes) -> p.Key:
    """Keys that must all match; `charset` is that of their texts, empty: not said. Raises BadSyntax and BadCharset."""
    known = codec(charset.decode("latin-1")) if charset else "utf-8"
    if known is None:
        raise BadCharset
    return _Parser(known).all_of(keys, 0)


class _Parser:
    """Takes keys off a list of tokens; `tokens` is the list in work, `at` the next."""

    def __init__(self, charset: str) -> None:
        self.charset = charset
        self.count = 0
        self.text_count = 0
        self.tokens: tuple[Token, ...] = ()
        self.at = 0

    def all_of(self, tokens: tuple[Token, ...], depth: int) -> p.Key:
        outer = self.tokens, self.at
        self.tokens, self.at = tokens, 0
        keys = []
        while self.at < len(tokens):
            keys.append(self.key(depth))
        self.tokens, self.at = outer
        if not keys:
            raise BadSyntax("missing search parameters")
        return keys[0] if len(keys) == 1 else p.And(tuple(keys))

    def key(self, depth: int) -> p.Key:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_KEYS:
            raise BadSyntax("search too complicated")
        token = self.next("argument")
        if isinstance(token, tuple):
            return self.all_of(token, depth + 1)
        word = token.value.upper()
        if isinstance(token, String):
            raise BadSyntax("unknown search key")
        if word in _FIXED:
            return _FIXED[word]
        if word == b"NOT":
            return p.Not(self.key(depth + 1))
        if word == b"OR":
            return p.Or(self.key(depth + 1), self.key(depth + 1))
        if word in _WITH_ARGUMENTS:
            return _WITH_ARGUMENTS[word](self)
        if word[:1].isdigit() or word[:1] in (b"*", b"$"):
            return p.Seq(parse_sequence_set(word))
        raise BadSyntax("unknown search key")

    def next(self, what: str) -> Token:
        if self.at >= len(self.tokens):
            raise BadSyntax(f"missing {what}")
        self.at += 1
        return self.tokens[self.at - 1]

    def octets(self) -> bytes:
        token = self.next("argument")
        if isinstance(token, tuple):
            raise BadSyntax("expected a string")
        return token.value

    def text(self) -> str:
        """A text to look for, folded."""
        try:
            return fold(self.octets().decode(self.charset))
        except UnicodeError:
            raise BadSyntax("text is not in its charset") from None

    def long_text(self) -> str:
        """A text to look for in all of a message, folded."""
        self.text_count += 1
        if self.text_count > MAX_TEXT_KEYS:
            raise BadSyntax("search too complicated")
        return self.text()

    def number(self) -> int:
        octets = self.octets()
        if not octets.isdigit() or len(octets) > 20:
            raise BadSyntax("expected a number")
        return int(octets)

    def modseq(self) -> int:
        """With a flag's name before it, which changes nothing: there is one mod-sequence a message."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if isinstance(token, String):
            self.at += 1
            if self.octets().lower() not in (b"priv", b"shared", b"all"):
                raise BadSyntax("expected priv, shared or all")
        modseq = self.number()
        if modseq >= 2**63:
            raise BadSyntax("number too large")
        return modseq

    def interval(self) -> int:
        """Seconds (RFC 5032 section 3)."""
        seconds = self.number()
        if not 0 < seconds < 2**32:
            raise BadSyntax("expected a number of seconds")
        return seconds

    def day(self) -> date:
        day, _, rest = self.octets().partition(b"-")
        month, _, year = rest.partition(b"-")
        if not (day.strip(b" ").isdigit() and year.isdigit() and len(year) == 4 and month.lower() in _MONTHS):
            raise BadSyntax("expected a date")
        try:
            return date(int(year), _MONTHS[month.lower()], int(day))
        except ValueError:
            raise BadSyntax("no such date") from None


def _header(name: bytes) -> Callable[[_Parser], p.Key]:
    return lambda parser: p.Header(name, parser.text())


_WITH_ARGUMENTS: dict[bytes, Callable[[_Parser], p.Key]] = {
    b"BCC": _header(b"bcc"),
    b"CC": _header(b"cc"),
    b"FROM": _header(b"from"),
    b"SUBJECT": _header(b"subject"),
    b"TO": _header(b"to"),
    b"HEADER": lambda parser: p.Header(parser.octets().lower(), parser.text()),
    b"BODY": lambda parser: p.Body(parser.long_text()),
    b"TEXT": lambda parser: p.Text(parser.long_text()),
    b"KEYWORD": lambda parser: p.Keyword(parser.octets().lower()),
    b"UNKEYWORD": lambda parser: p.Not(p.Keyword(parser.octets().lower())),
    b"OLDER": lambda parser: p.Age(parser.interval(), younger=False),
    b"YOUNGER": lambda parser: p.Age(parser.interval(), younger=True),
    b"SAVEDBEFORE": lambda parser: p.Saved(p.When.BEFORE, parser.day()),
    b"SAVEDON": lambda parser: p.Saved(p.When.ON, parser.day()),
    b"SAVEDSINCE": lambda parser: p.Saved(p.When.SINCE, parser.day()),
    b"EMAILID": lambda parser: p.EmailId(parser.octets()),
    b"THREADID": lambda parser: p.EmailId(parser.octets() and None),
    b"MODSEQ": lambda parser: p.ModSeq(parser.modseq()),
    b"LARGER": lambda parser: p.Larger(parser.number()),
    b"SMALLER": lambda parser: p.Smaller(parser.number()),
    b"UID": lambda parser: p.Uid(parse_sequence_set(parser.octets())),
    b"BEFORE": lambda parser: p.Arrived(p.When.BEFORE, parser.day()),
    b"ON": lambda parser: p.Arrived(p.When.ON, parser.day()),
    b"SINCE": lambda parser: p.Arrived(p.When.SINCE, parser.day()),
    b"SENTBEFORE": lambda parser: p.Sent(p.When.BEFORE, parser.day()),
    b"SENTON": lambda parser: p.Sent(p.When.ON, parser.day()),
    b"SENTSINCE": lambda parser: p.Sent(p.When.SINCE, parser.day()),
}
