"""Every text that POP3 says. Those of qmail-popup and qmail-pop3d are theirs to the letter (blank after +OK). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qmail.door.sasl import MECHANISMS

OK = b"+OK \r\n"
END = b".\r\n"

SYNTAX = b"-ERR syntax error\r\n"
UNIMPLEMENTED = b"-ERR unimplemented\r\n"
AUTHORIZATION_FIRST = b"-ERR authorization first\r\n"
USER_FIRST = b"-ERR USER first\r\n"
AUTHORIZATION_FAILED = b"-ERR authorization failed\r\n"
NO_MAILDIR = b"-ERR this user has no $HOME/Maildir\r\n"
NO_SCAN = b"-ERR unable to scan $HOME/Maildir\r\n"
FOREIGN_MAILDIR = b"-ERR $HOME/Maildir does not belong to this user\r\n"
NOT_THAT_MANY = b"-ERR not that many messages\r\n"
FROM_ONE = b"-ERR messages are counted from 1\r\n"
ALREADY_DELETED = b"-ERR already deleted\r\n"
NO_OPEN = b"-ERR unable to open that message\r\n"
NO_UNLINK = b"-ERR unable to unlink all deleted messages\r\n"

# RFC 3206: [AUTH] means the password, [SYS/TEMP] that trying again may help.
WRONG_PASSWORD = b"-ERR [AUTH] authorization failed\r\n"
SCAN_LATER = b"-ERR [SYS/TEMP] unable to scan $HOME/Maildir\r\n"
MAILDIR_LATER = b"-ERR [SYS/TEMP] this user has no $HOME/Maildir\r\n"
FOREIGN_MAILDIR_NOW = b"-ERR [SYS/PERM] $HOME/Maildir does not belong to this user\r\n"
TRY_LATER = b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"
# RFC 2449 section 8.1.1: the password was right.
TOO_MANY_SESSIONS = b"-ERR [IN-USE] too many sessions of this account from this address\r\n"
NEEDS_TLS = b"-ERR no password without encryption: STLS first, or use port 995\r\n"
NEEDS_TLS_PORT = b"-ERR no password without encryption: use port 995\r\n"
NO_TLS = b"-ERR TLS is not available\r\n"
BEGIN_TLS = b"+OK begin TLS\r\n"
LINE_TOO_LONG = b"-ERR line too long\r\n"
SASL_CANCELLED = b"-ERR authentication cancelled\r\n"
SASL_UNKNOWN = b"-ERR mechanism not supported\r\n"
TOO_MANY = b"-ERR [SYS/TEMP] too many connections, try again later\r\n"


READY = b"+OK POP3 ready\r\n"


def greeting(timestamp: bytes) -> bytes:
    """qmail-popup's: the timestamp of RFC 1939 section 7, which offers APOP."""
    return b"+OK " + timestamp + b"\r\n"


def numbers(first: int, second: int) -> bytes:
    """STAT, and LIST of one message."""
    return b"+OK %d %d\r\n" % (first, second)


def unique_id(number: int, uid: bytes) -> bytes:
    """UIDL of one message."""
    return b"+OK %d %s\r\n" % (number, uid)


def last(number: int) -> bytes:
    """LAST, of RFC 1460."""
    return b"+OK %d\r\n" % number


def listing(lines: Iterable[bytes], lines_per_piece: int = 1000) -> Iterator[bytes]:
    """A multi-line answer in pieces; the lines need no dot-stuffing."""
    piece = [OK]
    for line in lines:
        piece.append(line + b"\r\n")
        if len(piece) >= lines_per_piece:
            yield b"".join(piece)
            piece = []
    yield b"".join(piece) + END


def sasl_mechanisms(*, plaintext: bool) -> bytes:
    """A bare AUTH, as clients older than CAPA ask."""
    return b"".join(listing(MECHANISMS if plaintext else []))


def sasl_challenge(text: bytes) -> bytes:
    """RFC 5034 section 4; `text` is base64 already."""
    return b"+ " + text + b"\r\n"


def capabilities(*, plaintext: bool, stls: bool) -> bytes:
    """CAPA (RFC 2449 section 5); what cannot be used now is not named."""
    names = [b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"EXPIRE NEVER"]
    if plaintext:
        names += [b"USER", b" ".join((b"SASL", *MECHANISMS))]
    if stls:
        names.append(b"STLS")
    return b"".join(listing([*names, b"IMPLEMENTATION qmail"]))
