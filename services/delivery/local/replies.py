"""Every text that local delivery reports. The words are qmail-local's and qmail-lspawn's. Pure."""

from __future__ import annotations

from typing import Final

from qmail.message.dates import date822
from qmail.message.error_words import error_words

#: A report is cut to this many bytes (qmail-lspawn's truncreport).
MAX_REPORT_BYTES: Final = 3000
_TOO_LONG: Final = b"\nError report too long, sorry.\n"

# qmail-lspawn
NO_ALIAS_USER: Final = b"Unable to find alias user! (#4.3.0)"
NOT_AS_ROOT: Final = b"Not allowed to perform deliveries as root. (#4.3.0)"
BAD_ASSIGN: Final = b"Trouble reading users/assign. (#4.3.0)"
BAD_CONTROL: Final = b"Unable to read control files. (#4.3.0)"
NO_IDENTITY: Final = b"Unable to act as the user. (#4.3.0)"
NO_RESOURCES: Final = b"System resources temporarily unavailable. (#4.3.0)"
UNFORESEEN: Final = b"Internal error in local delivery; it will be tried again. (#4.3.0)"

# qmail-local: home and .qmail
HOME_WRITABLE: Final = b"Uh-oh: home directory is writable. (#4.7.0)"
HOME_STICKY: Final = b"Home directory is sticky: user is editing his .qmail file. (#4.2.1)"
HOME_STICKY_WARNING: Final = b"Warning: home directory is sticky."
DOT_QMAIL_WRITABLE: Final = b"Uh-oh: .qmail file is writable. (#4.7.0)"
DOT_QMAIL_BLANK: Final = b"Uh-oh: first line of .qmail file is blank. (#4.2.1)"
DOT_QMAIL_TOO_LONG: Final = b"Uh-oh: .qmail file is too long. (#4.2.1)"
FILE_WITH_X_BIT: Final = b"Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)"
PROGRAM_WITH_X_BIT: Final = b"Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)"
NO_MAILBOX: Final = b"Sorry, no mailbox here by that name. (#5.1.1)"
LOOPING: Final = b"This message is looping: it already has my Delivered-To line. (#5.4.6)"
USAGE: Final = b"qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty\n"

# qmail-local: deliveries
NO_MAILDIR: Final = b"Unable to chdir to maildir. (#4.2.1)"
MAILDIR_FAILED: Final = b"Temporary error on maildir delivery. (#4.3.0)"
MAILDIR_DISK_FULL: Final = b"Out of disk space on maildir delivery. (#4.3.1)"
MAILDIR_OVER_QUOTA: Final = b"Over quota on maildir delivery. (#4.2.2)"
CHILD_CRASHED: Final = b"Aack, child crashed. (#4.3.0)"
PROGRAM_TOO_SLOW: Final = b"Program took too long and was ended. (#4.3.0)"
PROGRAM_NOT_RUN: Final = b"Unable to run the program. (#4.3.0)"
MESSAGE_UNREADABLE: Final = b"Unable to read message. (#4.3.0)"

# Ours, in the manner of qmail.c
ENVELOPE_TOO_LARGE: Final = b"envelope too large for qq (#5.3.4)"


def no_home(home: bytes, error: OSError) -> bytes:
    return b"Unable to switch to " + home + b": " + error_words(error) + b". (#4.3.0)"


def dot_qmail_unreadable(name: bytes, error: OSError) -> bytes:
    return b"Unable to open " + name + b": " + error_words(error) + b". (#4.3.0)"


def mbox_not_opened(path: bytes, error: OSError) -> bytes:
    return b"Unable to open " + path + b": " + error_words(error) + b". (#4.2.1)"


def mbox_not_written(path: bytes, error: OSError) -> bytes:
    return b"Unable to write " + path + b": " + error_words(error) + b". (#4.3.0)"


def mbox_locked(path: bytes) -> bytes:
    return b"Unable to lock " + path + b": another program holds it. (#4.2.1)"


def not_forwarded(why: bytes) -> bytes:
    return b"Unable to forward message: " + why + b"."


def did(files: int, forwards: int, programs: int) -> bytes:
    """The success note of qmail-local."""
    return b"did %d+%d+%d\n" % (files, forwards, programs)


def queued(number: int) -> bytes:
    """The line that names the message which the forwards became."""
    return b"qp %d\n" % number


def bounded_report(text: bytes) -> bytes:
    """The text as qmail-lspawn passes it on: at most 3000 bytes."""
    if len(text) <= MAX_REPORT_BYTES:
        return text
    return text[: MAX_REPORT_BYTES - len(_TOO_LONG) - 3] + _TOO_LONG


def quota_warning(percent: int, now: float) -> bytes:
    """The mail that an account gets when its Maildir is nearly full; `now`: seconds since 1970."""
    return (
        b"Date: " + date822(now) + b"\n"
        b"From: Mail Delivery System <MAILER-DAEMON>\n"
        b"Subject: Your mailbox is %d%% full\n"
        b"Auto-Submitted: auto-generated\n"
        b"MIME-Version: 1.0\n"
        b"Content-Type: text/plain; charset=us-ascii\n"
        b"\n"
        b"Your mailbox holds %d%% of what it may hold. When it is full, new mail for you\n"
        b"waits at its senders, and in the end goes back to them. Please delete what you\n"
        b"do not need any more; what lies in Trash does not count.\n"
    ) % (percent, percent)
