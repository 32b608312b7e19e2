"""Address lists of header fields (RFC 5322 3.4, with the source routes of RFC 822), as IMAP's ENVELOPE wants them."""

from __future__ import annotations

import re
from typing import NamedTuple

from services.imap.message.header import unfold
from services.imap.message.lexer import Lexer

#: More addresses than this in one field are not looked at.
MAX_ADDRESSES = 20000

_SIMPLE = re.compile(
    rb"[ \t\r\n]*(?:(?:\"([^\"\\\r\n]+)\"|([^\x00-\x20\"(),.:;<>@\[\]\\]+(?: [^\x00-\x20\"(),.:;<>@\[\]\\]+)*))[ \t]*)?"
    rb"<([^\x00-\x20\"(),:;<>@\[\]\\]+)@([A-Za-z0-9._-]+)>[ \t\r\n]*(?:,|\Z)"
)
_BARE = re.compile(rb"[ \t\r\n]*([^\x00-\x20\"(),:;<>@\[\]\\]+)@([A-Za-z0-9._-]+)[ \t\r\n]*(?:,|\Z)")


class Address(NamedTuple):
    """RFC 3501 7.4.2: a group begins with host None and ends with mailbox None too. What is missing is b""."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


GROUP_END = Address(None, None, None, None)


def parse_addresses(value: bytes) -> list[Address]:
    """All addresses of a field value (folded or not). What cannot be read is passed over; nothing is raised."""
    return _Parser(value).addresses()


class _Parser:
    def __init__(self, value: bytes) -> None:
        self.lexer = Lexer(value)
        self.found: list[Address] = []
        self.in_group = False

    def addresses(self) -> list[Address]:
        lexer = self.lexer
        while lexer.at < lexer.end and len(self.found) < MAX_ADDRESSES:
            if not self._simple():
                self._one()
        if self.in_group:
            self.found.append(GROUP_END)
        return self.found

    def _simple(self) -> bool:
        """The two common forms, `name <local@host>` and `local@host`, without looking at each word."""
        lexer = self.lexer
        found = _SIMPLE.match(lexer.value, lexer.at)
        if found:
            quoted, words, local, host = found.groups()
            self.found.append(Address(quoted or words, None, local, host))
        else:
            found = _BARE.match(lexer.value, lexer.at)
            if not found:
                return False
            self.found.append(Address(None, None, found[1], found[2]))
        lexer.at = found.end()
        return True

    def _one(self) -> None:
        lexer = self.lexer
        lexer.skip()
        lexer.comment = None  # only one behind an address names it
        if lexer.at >= lexer.end:
            return
        if lexer.take(b","):
            if not self.found:
                self.found.append(Address(None, None, b"", b""))
            return
        if lexer.take(b";"):
            self._end_group()
            return
        if not self.in_group and self._group_or_mailbox():
            return
        if self.in_group:
            self._group_or_mailbox()
        self._pass_separator()

    def _end_group(self) -> None:
        if self.in_group:
            self.found.append(GROUP_END)
            self.in_group = False

    def _group_or_mailbox(self) -> bool:
        """Reads one of them; True if it was the beginning of a group."""
        lexer = self.lexer
        start = lexer.at
        phrase, dotted, apart = self._phrase()
        if lexer.take(b"<"):
            self._angle(phrase)
        elif lexer.take(b"@"):
            host = self._domain()
            written = lexer.value[start : lexer.at]
            lexer.skip()
            if lexer.take(b"<"):
                self._angle(unfold(written))
                self._drop_name_that_is_the_address()
            else:
                self._bare(phrase if apart else None, dotted, host)
        elif not self.in_group and lexer.take(b":"):
            self.found.append(Address(None, None, phrase, None))
            self.in_group = True
            return True
        elif phrase:
            quoted = lexer.value[start : start + 1] == b'"'
            self._bare(phrase if apart or quoted else None, dotted, b"")
        return False

    def _bare(self, words: bytes | None, local: bytes, host: bytes) -> None:
        """An address without brackets; or, of several words or quoted ones, a name that has none."""
        if words is None:
            self.found.append(Address(self.lexer.comment or None, None, local, host))
        else:
            self.found.append(Address(words, None, b"", b""))

    def _phrase(self) -> tuple[bytes, bytes, bool]:
        """Words up to a special, as a display name (joined by blanks) and as a local part (as written); whether blanks
        stand between two of them that no dot joins."""
        lexer = self.lexer
        phrase: list[bytes] = []
        local: list[bytes] = []
        apart = False
        while True:
            before = lexer.at
            lexer.skip()
            start = lexer.at
            word = lexer.quoted() if lexer.peek() == b'"' else self._dotted()
            if lexer.at == start:
                return b"".join(phrase), b"".join(local), apart
            if phrase and start > before:
                phrase.append(b" ")
                apart = apart or not (local[-1].endswith(b".") or word.startswith(b"."))
            phrase.append(word)
            local.append(word)

    def _dotted(self) -> bytes:
        lexer = self.lexer
        words = [lexer.atom()]
        while lexer.take(b"."):
            words.append(lexer.atom())
        return b".".join(words)

    def _drop_name_that_is_the_address(self) -> None:
        """For `ari@x.com <ari@x.com>`: an address for a name, without quotes."""
        last = self.found[-1]
        if last.name == b"%b@%b" % (last.mailbox or b"", last.host or b""):
            self.found[-1] = last._replace(name=None)

    def _angle(self, phrase: bytes) -> None:
        lexer = self.lexer
        lexer.skip()
        route = self._route()
        lexer.skip()
        _, local, _ = self._phrase()
        host = self._domain() if lexer.take(b"@") else b""
        lexer.skip()
        lexer.take(b">")
        self.found.append(Address(phrase or None, route, local, host))

    def _route(self) -> bytes | None:
        """`@a,@b:` before an addr-spec, without the colon."""
        lexer = self.lexer
        hops = []
        while lexer.take(b"@"):
            hops.append(b"@" + self._domain())
            lexer.skip()
            while lexer.take(b","):
                lexer.skip()
        lexer.take(b":")
        return b",".join(hops) or None

    def _domain(self) -> bytes:
        lexer = self.lexer
        lexer.skip()
        if lexer.peek() == b"[":
            return lexer.domain_literal()
        domain = lexer.atom()
        while True:
            lexer.skip()
            if not lexer.take(b"."):
                return domain
            lexer.skip()
            domain += b"." + lexer.atom()

    def _pass_separator(self) -> None:
        """Goes behind the next comma, or to the next semicolon."""
        lexer = self.lexer
        while lexer.at < lexer.end:
            lexer.skip()
            here = lexer.peek()
            if here == b";" and self.in_group:
                return
            if here == b'"':
                lexer.quoted()
                continue
            lexer.at += 1
            if here in (b",", b";"):
                return
