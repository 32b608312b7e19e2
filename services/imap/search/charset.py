"""Characters: decoding by charset names found in mail, and folding for comparison (RFC 5051)."""

from __future__ import annotations

import codecs
import encodings
import encodings.aliases
import pkgutil
import unicodedata
from functools import lru_cache

#: A longer name is none, in characters: nothing is kept for it.
MAX_NAME_CHARS = 40
#: Python's names of its codecs. It remembers for ever whatever else it is asked for, so it is asked for no other.
_KNOWN = frozenset((*encodings.aliases.aliases, *(module.name for module in pkgutil.iter_modules(encodings.__path__))))
#: Python codecs that are no charsets of mail, or that take more than linear time.
_REFUSED = frozenset(
    ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "charmap", "mbcs", "oem")
)
#: What people write, and what Python calls it.
_OTHER_NAMES = {
    "unicode-1-1-utf-7": "utf-7",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601-1989": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc-jp",
    "cp-850": "cp850",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
}


def codec(name: str) -> str | None:
    """Python's name of a charset, None if it is not known."""
    return _codec(name.strip().lower()) if len(name) <= MAX_NAME_CHARS else None


@lru_cache(maxsize=512)
def _codec(name: str) -> str | None:
    wanted = encodings.normalize_encoding(_OTHER_NAMES.get(name, name))
    if wanted not in _KNOWN:
        wanted = wanted.replace(".", "_")
        if wanted not in _KNOWN:
            return None
    try:
        info = codecs.lookup(wanted)
        b"a".decode(info.name, "ignore")  # refuses what does not make text
    except (LookupError, ValueError, UnicodeError):
        return None
    return None if info.name.replace("-", "_") in _REFUSED else info.name


def decode(octets: bytes, charset: str | None = None) -> str:
    """Text in `charset`; where that is unknown UTF-8, or ISO-8859-1 if it is not UTF-8. Nothing is raised."""
    name = codec(charset) if charset else None
    if name is not None and name != "utf-8":
        try:
            return octets.decode(name, "replace")
        except (UnicodeError, ValueError):
            pass  # some codecs raise in spite of "replace"
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("utf-8", "replace") if name else octets.decode("latin-1")


def fold(text: str) -> str:
    """The form in which texts are compared: without case, width and way of composing."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def collation(text: str) -> bytes:
    """The octets that i;unicode-casemap sorts by (RFC 5051)."""
    if text.isascii():
        return text.upper().encode()
    return unicodedata.normalize("NFKD", text.upper()).encode("utf-8", "replace")
