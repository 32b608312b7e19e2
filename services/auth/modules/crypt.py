"""Hashes as /etc/shadow has them, by the system's own libcrypt: yescrypt, SHA-512, MD5 and whatever else it knows.

Python's module crypt is gone. Source: crypt(3), crypt(5).
"""

from __future__ import annotations

import ctypes
import hmac
from typing import Final

# sizeof(struct crypt_data) of libxcrypt; an older library's needs more, and says so by failing.
_DATA_BYTES: Final = 32_768
_LIBRARY: Final = "libcrypt.so.1"


class NoCrypt(Exception):
    """There is no libcrypt here; the text is the loader's."""


class Crypt:
    """libcrypt.so.1. May be called by several threads at once."""

    def __init__(self) -> None:
        """Raises NoCrypt."""
        try:
            self._crypt = ctypes.CDLL(_LIBRARY).crypt_rn
        except (OSError, AttributeError) as error:
            raise NoCrypt(str(error)) from error
        self._crypt.restype = ctypes.c_char_p
        self._crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]

    def matches(self, hashed: bytes, password: bytes) -> bool | None:
        """Whether this is the password; None for a hash that libcrypt does not know."""
        data = ctypes.create_string_buffer(_DATA_BYTES)
        found = self._crypt(password, hashed, data, _DATA_BYTES)
        return None if found is None else hmac.compare_digest(found, hashed)
