"""Walks over a command's text and literals and takes the elements of the grammar (RFC 3501 section 9)."""

from __future__ import annotations

import re

from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.tokens import Atom, String, Token

# ATOM-CHAR and "]" (ASTRING-CHAR), RFC 3501 section 9.
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_LIST_WORD = re.compile(rb'[^\x00-\x20\x7f(){"\\]+')
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_NUMBER = re.compile(rb"[0-9]{1,10}")
_MODSEQ = re.compile(rb"[0-9]{1,19}")
_TOKEN = re.compile(rb'[^\x00-\x20\x7f(){"]+')
_QUOTED = re.compile(rb'"((?:[^\x00\r\n"\\]|\\["\\])*)"')
_SET = re.compile(rb"[0-9*:,$]+")
# Deeper than any mail program nests its SEARCH; keeps the parser off Python's recursion limit.
MAX_DEPTH = 50


class Cursor:
    """A position in a command."""

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        self._parts = parts
        self._index = 0
        self.text = parts[0]
        self.position = 0

    def peek(self) -> bytes:
        """The next octet, b"" at the end, b"{" before a literal."""
        if self.position < len(self.text):
            return self.text[self.position : self.position + 1]
        return b"{" if self._index + 1 < len(self._parts) else b""

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.peek() == b""

    def end(self) -> None:
        """Raises BadSyntax unless nothing but blanks is left."""
        self.text = self.text.rstrip(b" ") if self._index + 1 >= len(self._parts) else self.text
        if self.position < len(self.text) or not self.at_end():
            raise BadSyntax("unexpected text at the end of the command")

    def skip(self, octets: bytes) -> bool:
        """Take exactly these octets if they are next, without regard to case."""
        if self.text[self.position : self.position + len(octets)].upper() != octets.upper():
            return False
        self.position += len(octets)
        return True

    def expect(self, octets: bytes) -> None:
        """Take exactly these octets. Raises BadSyntax."""
        if not self.skip(octets):
            raise BadSyntax("expected " + {b" ": "a blank"}.get(octets, octets.decode("latin-1")))

    def space(self) -> None:
        """Take the blank between two arguments; some programs send two."""
        self.expect(b" ")
        while self.skip(b" "):
            pass

    def match(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        """Take what the pattern matches here. Raises BadSyntax, naming `what` was expected."""
        found = pattern.match(self.text, self.position)
        if found is None:
            raise BadSyntax(f"expected {what}")
        self.position = found.end()
        return found[0]

    def atom(self) -> bytes:
        return self.match(_ATOM, "an atom")

    def word(self) -> bytes:
        """An atom in upper case: a keyword of the grammar."""
        return self.atom().upper()

    def flag(self) -> bytes:
        return self.match(_FLAG, "a flag")

    def number(self) -> int:
        """A 32-bit number."""
        value = int(self.match(_NUMBER, "a number"))
        if value >= 2**32:
            raise BadSyntax("number too large")
        return value

    def modseq(self) -> int:
        """A mod-sequence, of 63 bits (RFC 7162 section 7)."""
        value = int(self.match(_MODSEQ, "a mod-sequence"))
        if value >= 2**63:
            raise BadSyntax("number too large")
        return value

    def sequence_text(self) -> bytes:
        """The octets of a sequence set, not yet judged."""
        return self.match(_SET, "a message set")

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.peek() == b'"':
            quoted = self.match(_QUOTED, "a quoted string")[1:-1]
            return re.sub(rb"\\(.)", rb"\1", quoted) if b"\\" in quoted else quoted
        if self.position == len(self.text) and self._index + 1 < len(self._parts):
            literal = self._parts[self._index + 1]
            self._index += 2
            self.text, self.position = self._parts[self._index], 0
            return literal
        raise BadSyntax("expected a string")

    def astring(self) -> bytes:
        """An atom (that may hold `]`), a quoted string or a literal."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.match(_ASTRING, "a string")

    def list_mailbox(self) -> bytes:
        """LIST's pattern: as astring, with wildcards; 8-bit octets and the like are left to fail to match."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.match(_LIST_WORD, "a mailbox name or pattern")

    def nstring(self) -> bytes | None:
        """A string or NIL."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        self.expect(b"NIL")
        return None

    def flags(self) -> tuple[bytes, ...]:
        """A parenthesised flag list, maybe empty."""
        self.expect(b"(")
        found: list[bytes] = []
        while not self.skip(b")"):
            if found:
                self.space()
            found.append(self.flag())
        return tuple(found)

    def words(self) -> tuple[bytes, ...]:
        """A parenthesised list of keywords of the grammar, in upper case, maybe empty."""
        self.expect(b"(")
        found: list[bytes] = []
        while not self.skip(b")"):
            if found:
                self.space()
            found.append(self.word())
        return tuple(found)

    def tokens(self, depth: int = 0) -> tuple[Token, ...]:
        """Everything up to the closing parenthesis or the end, as tokens. Raises BadSyntax."""
        if depth > MAX_DEPTH:
            raise BadSyntax("too many parentheses")
        found: list[Token] = []
        while True:
            while self.skip(b" "):
                pass
            if self.at_end() or self.peek() == b")":
                return tuple(found)
            found.append(self._token(depth))

    def _token(self, depth: int) -> Token:
        if self.skip(b"("):
            inner = self.tokens(depth + 1)
            self.expect(b")")
            return inner
        if self.peek() in (b'"', b"{"):
            return String(self.string())
        return Atom(self.match(_TOKEN, "a word"))
