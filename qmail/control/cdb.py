"""cdb(5), the constant database that tcprules, qmail-newu and qmail-newmrh write: made whole, read by key. Pure.

Source: the format's description, https://cr.yp.to/cdb/cdb.txt.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_TABLES = 256
_HEAD_BYTES = 8 * _TABLES
_PAIR = struct.Struct("<II")
MAX_BYTES = 2**32 - 1


class CdbError(ValueError):
    """The bytes are no constant database, or would be too many for one."""


def _hash(key: bytes) -> int:
    value = 5381
    for octet in key:
        value = ((value << 5) + value & 0xFFFFFFFF) ^ octet
    return value


def make(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole file; of equal keys all are kept, in order. Raises CdbError beyond 4 GB."""
    body = bytearray()
    slots: list[list[tuple[int, int]]] = [[] for _ in range(_TABLES)]
    for key, value in records:
        number = _hash(key)
        slots[number % _TABLES].append((number, _HEAD_BYTES + len(body)))
        body += _PAIR.pack(len(key), len(value)) + key + value
    head, tables = bytearray(), bytearray()
    for entries in slots:
        head += _PAIR.pack(_HEAD_BYTES + len(body) + len(tables), 2 * len(entries))
        tables += _table(entries)
    if len(head) + len(body) + len(tables) > MAX_BYTES:
        raise CdbError("more than 4 GB")
    return bytes(head + body + tables)


def _table(entries: list[tuple[int, int]]) -> bytes:
    size = 2 * len(entries)
    table = [(0, 0)] * size
    for number, position in entries:
        at = (number >> 8) % size
        while table[at][1]:
            at = (at + 1) % size
        table[at] = number, position
    return b"".join(_PAIR.pack(*pair) for pair in table)


def find(content: bytes, key: bytes) -> bytes | None:
    """The first value of a key, None where there is none. Raises CdbError."""
    number = _hash(key)
    try:
        table, size = _PAIR.unpack_from(content, number % _TABLES * 8)
        for step in range(size):
            found, position = _PAIR.unpack_from(content, table + ((number >> 8) + step) % size * 8)
            if not position:
                return None
            if found == number:
                key_bytes, value_bytes = _PAIR.unpack_from(content, position)
                at = position + _PAIR.size
                if content[at : at + key_bytes] == key:
                    return content[at + key_bytes : at + key_bytes + value_bytes]
    except struct.error as error:
        raise CdbError("expected a constant database") from error
    return None
