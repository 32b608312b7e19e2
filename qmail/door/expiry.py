"""When a certificate ends: the one field of X.509 that a server has to watch itself (RFC 5280 section 4.1)."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def not_after(pem: str) -> float:
    """The end of the first certificate in a PEM text, in seconds since 1970. Raises ValueError where there is none."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate in PEM form")
    try:
        # Certificate, TBSCertificate: [version], serialNumber, signature, issuer, validity.
        fields = _Der(_Der(base64.b64decode(found[1])).take(_SEQUENCE)).enter(_SEQUENCE)
        if fields.tag == _VERSION:
            fields.skip()
        for _ in range(3):
            fields.skip()
        validity = fields.enter(_SEQUENCE)
        validity.skip()
        return _seconds(validity)
    except (IndexError, binascii.Error) as error:
        raise ValueError("no certificate in DER form") from error


class _Der:
    """Elements one after the other (X.690)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def tag(self) -> int:
        return self._data[0]

    def take(self, tag: int) -> bytes:
        """The next element's content. Raises ValueError where it is another."""
        if self.tag != tag:
            raise ValueError("no certificate in DER form")
        return self.skip()

    def enter(self, tag: int) -> _Der:
        return _Der(self.take(tag))

    def skip(self) -> bytes:
        data, length, start = self._data, self._data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        self._data = data[start + length :]
        return data[start : start + length]


def _seconds(validity: _Der) -> float:
    """UTCTime means 1950 to 2049 (RFC 5280 section 4.1.2.5.1)."""
    tag = validity.tag
    text = validity.take(tag).decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time in the certificate")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
