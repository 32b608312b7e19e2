"""Every text that smtpd says. Those of qmail 1.03 stand as qmail-smtpd.c and qmail.c have them.

A reply is bytes with its CRLF. Where a name must be filled in there is a function. Pure.
"""

from __future__ import annotations

from qmail.queue import exits

# RFC 5321 4.2; qmail-smtpd(8)
OK = b"250 ok\r\n"
FLUSHED = b"250 flushed\r\n"
GO_AHEAD = b"354 go ahead\r\n"
VRFY = b"252 send some mail, i'll try my best\r\n"
HELP = b"214 qmail home page: http://pobox.com/~djb/qmail.html\r\n"
UNIMPLEMENTED = b"502 unimplemented (#5.5.1)\r\n"
MAIL_FIRST = b"503 MAIL first (#5.5.1)\r\n"
RCPT_FIRST = b"503 RCPT first (#5.5.1)\r\n"
SYNTAX = b"555 syntax error (#5.5.4)\r\n"
BAD_MAIL_FROM = b"553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\r\n"
NOT_IN_RCPTHOSTS = b"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n"
STRAY_NEWLINE = b"451 See http://pobox.com/~djb/docs/smtplf.html.\r\n"
TIMEOUT = b"451 timeout (#4.4.2)\r\n"
NO_CONTROLS = b"421 unable to read controls (#4.3.0)\r\n"
TOO_MANY_HOPS = b"554 too many hops, this message is looping (#5.4.6)\r\n"
TOO_BIG = b"552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n"


def _qq(exit_code: int) -> bytes:
    """What qmail 1.03 answers for an exit code of qmail-queue (qmail-smtpd.c); `control/extensions` = none."""
    return (b"554 " if exits.is_permanent(exit_code) else b"451 ") + exits.words(exit_code) + b"\r\n"


QQ_ENVELOPE_TOO_LONG = _qq(exits.ADDRESS_TOO_LONG)
QQ_OUT_OF_MEMORY = _qq(exits.OUT_OF_MEMORY)
QQ_TIMEOUT = _qq(exits.TIMEOUT)
QQ_DISK_FULL = _qq(exits.WRITE_ERROR)
QQ_CONFIGURATION = _qq(exits.NO_CONFIGURATION)
QQ_FILES = _qq(exits.FILES)
QQ_REJECTED = _qq(exits.CONNECTION_REJECTED)
QQ_BUG = _qq(exits.INTERNAL_BUG)
QQ_TEMPORARY = _qq(exits.TEMPORARY)

# Ours: with extensions on.
QUEUE_FULL = b"452 sorry, the queue is full, try again later (#4.3.1)\r\n"
BODIES_FULL = b"452 sorry, I have no room to look at that message now, try again later (#4.3.1)\r\n"
BUS_DOWN = b"451 sorry, I can't reach my queue, try again later (#4.3.0)\r\n"
ENVELOPE_TOO_LARGE = b"554 sorry, that envelope is too large for me, use fewer recipients (#5.5.3)\r\n"
LOCAL_ERROR = b"451 sorry, local error, try again later (#4.3.0)\r\n"
NO_MAILBOX = b"550 sorry, no mailbox here by that name. (#5.1.1)\r\n"
OVER_QUOTA = b"452 sorry, that mailbox is full, try again later (#4.2.2)\r\n"
TOO_MANY_RECIPIENTS = b"452 sorry, too many recipients in one message (#4.5.3)\r\n"
NAME_IN_DOUBT = b"451 sorry, I can't look up the name of your host now, try again later (#4.4.3)\r\n"
LINE_TOO_LONG = b"500 sorry, that command line is too long (#5.5.2)\r\n"
BAD_COMMANDS = b"421 sorry, too many bad commands, closing (#4.7.0)\r\n"
BAD_RCPT_TO = b"553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)\r\n"
BAD_SENDER = b"501 sorry, that is no address I could send a bounce to (#5.1.7)\r\n"
BAD_RECIPIENT = b"501 sorry, that is no address of a mailbox (#5.1.3)\r\n"
UNKNOWN_PARAMETER = b"555 sorry, I didn't offer that parameter (#5.5.4)\r\n"
BAD_SIZE = b"501 SIZE wants a number (#5.5.4)\r\n"
BAD_BODY = b"501 BODY wants 7BIT or 8BITMIME (#5.5.4)\r\n"
STOPPING = b"421 going down, try again in a moment (#4.3.2)\r\n"
TOO_MANY_CONNECTIONS = b"421 sorry, too many connections here, try again later (#4.7.0)\r\n"
TOO_MANY_FROM_YOU = b"421 sorry, too many connections from your address, try again later (#4.7.0)\r\n"
DENIED = b"421 sorry, connections from your address are not accepted here (#4.7.1)\r\n"

# STARTTLS, RFC 3207
TLS_READY = b"220 ready for tls (#2.0.0)\r\n"
TLS_UNAVAILABLE = b"454 tls not available now (#4.3.0)\r\n"
TLS_ALREADY = b"503 tls is already on (#5.5.1)\r\n"
TLS_NO_ARGUMENT = b"501 STARTTLS takes no parameters (#5.5.4)\r\n"
TLS_FIRST = b"530 STARTTLS first (#5.7.0)\r\n"

# AUTH, RFC 4954
AUTH_OK = b"235 ok, go ahead (#2.7.0)\r\n"
AUTH_FAILED = b"535 authentication failed (#5.7.8)\r\n"
AUTH_TEMPORARY = b"454 temporary authentication failure (#4.7.0)\r\n"
AUTH_CANCELLED = b"501 authentication cancelled (#5.7.0)\r\n"
AUTH_SYNTAX = b"501 malformed authentication input (#5.5.2)\r\n"
AUTH_MECHANISM = b"504 mechanism not supported (#5.5.4)\r\n"
AUTH_ALREADY = b"503 you are already authenticated (#5.5.1)\r\n"
AUTH_DURING_MAIL = b"503 no auth during mail transaction (#5.5.0)\r\n"
AUTH_NEEDS_TLS = b"538 encryption required for authentication (#5.7.11)\r\n"
AUTH_FIRST = b"530 authentication required (#5.7.0)\r\n"


def auth_challenge(text: bytes) -> bytes:
    """RFC 4954 section 4; `text` is base64 already."""
    return b"334 " + text + b"\r\n"


def greeting(name: bytes) -> bytes:
    """The first line, as the tutorial's chapter 6.4 shows it."""
    return b"220 " + name + b" ESMTP\r\n"


def helo(name: bytes) -> bytes:
    return b"250 " + name + b"\r\n"


def quit(name: bytes) -> bytes:
    return b"221 " + name + b"\r\n"


def ehlo(name: bytes, keywords: list[bytes]) -> bytes:
    """RFC 5321 4.1.1.1: one keyword a line, a blank instead of the hyphen in the last."""
    lines = [name, *keywords]
    return b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"


def accepted(time_seconds: int, id: int) -> bytes:
    """The message is on stable storage; `id` is what the log and the Received line call it."""
    return b"250 ok %d qp %d\r\n" % (time_seconds, id)
