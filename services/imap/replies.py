"""Every text that a client is sent (RFC 3501 section 7). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from services.imap.grammar.sequence import render_set
from services.imap.message.render import string as quote

CRLF = b"\r\n"
SERVER_NAME = b"qmail imapd"

READY = b"qmail imapd ready."
LOGGED_IN = b"LOGIN Ok."
LINE_TOO_LONG = b"Line or command too long."
LITERAL_TOO_LONG = b"Literal too long."
NO_TAG = b"Not an IMAP command: no tag."
NOT_NOW = b"Command not allowed in this state."
TOO_MANY_BAD = b"Too many bad commands."
LOGIN_NEEDS_TLS = b"Log-in needs TLS: use STARTTLS first."
LOGIN_FAILED = b"Login failed."
LOGIN_UNAVAILABLE = b"Log-in is not possible just now. Try again later."
TOO_MANY_SESSIONS = b"Too many sessions of this account from this address. Close some."
MECHANISM_UNKNOWN = b"Mechanism not supported."
AUTH_CANCELLED = b"Authentication cancelled."
AUTH_MALFORMED = b"Authentication data not understood."
ALREADY_TLS = b"TLS is active already."
NO_TLS = b"TLS is not available."
BEGIN_TLS = b"Begin TLS negotiation now."
GOODBYE = b"Good-bye."
STOPPING = b"Server going down. Connect again."
TIMED_OUT = b"Idle for too long."
APPEND_GOES_ON = b"send the message"
LITERAL_GOES_ON = b"go on"
IDLING = b"idling"
IDLE_WANTED_DONE = b"Expected DONE."
APPEND_SYNTAX = b"Unexpected text after the message."
TOO_BIG = b"Message is larger than this server takes."
FAILED_FOR_NOW = b"Not possible just now. Try again later."
SOME_UNREADABLE = b"Some messages cannot be read."
NO_SUCH_MESSAGE = b"No such message number."
GONE = b"Some messages are gone."
GONE_NOT_COPIED = b"Some messages are gone; nothing was copied."
READ_ONLY = b"Mailbox is selected read-only."
NO_SUCH_MAILBOX = b"No such mailbox."
IMPOSSIBLE_MAILBOX = b"No such mailbox: names begin with INBOX and a dot."
INVALID_NAME = b"Invalid mailbox name."
MAILBOX_EXISTS = b"Mailbox exists already."
CHILD_EXISTS = b"A mailbox below the new name exists already."
INBOX_STAYS = b"INBOX cannot be deleted."
OTHER_USE = b"That use goes with another name."
NO_MAILDIR = b"This account has no Maildir. Ask the administrator to make one."
MAILDIR_CLOSED = b"This account's Maildir cannot be opened."
MAILDIR_INCOMPLETE = b"This account's Maildir is not complete (cur, new, tmp)."
MAILDIR_FOREIGN = b"This account's Maildir belongs to somebody else."
MAILBOX_BUSY = b"The mailbox changes too fast."
KEYWORDS_BUSY = b"The keywords change too fast."
SUBSCRIPTIONS_BUSY = b"The subscriptions are being changed. Try again."
VALIDITY_BUSY = b"Too many mailboxes are made at once."
TOO_MANY_SUBSCRIPTIONS = b"Too many subscriptions."
TOO_MANY_MESSAGES = b"Too many messages in one command."
TOO_MANY_KEYWORDS = b"Too many keywords in this mailbox."
NO_SUCH_FLAG = b"No such flag."
IMPOSSIBLE_KEYWORD = b"Impossible keyword."
EMPTY_MESSAGE = b"An empty message is none."
OVER_QUOTA = b"You exceeded your mail quota."
SETQUOTA_NO = b"Quotas are set by the administrator."
NO_SUCH_QUOTA_ROOT = b"No such quota root."
OWNER_ALONE = b"Rights are the owner's alone here."
DISK_FULL = b"No room on the disk."
UNKNOWN_CHARSET = b"Charset not supported."
INTERNAL = b"Something went wrong here; nothing was lost. Try again later."
TOO_MANY_CONNECTIONS = b"* BYE [UNAVAILABLE] Too many connections. Try again later.\r\n"

CODE_UNAVAILABLE = b"UNAVAILABLE"
CODE_LIMIT = b"LIMIT"
CODE_AUTH_FAILED = b"AUTHENTICATIONFAILED"
CODE_PRIVACY = b"PRIVACYREQUIRED"
CODE_TRYCREATE = b"TRYCREATE"
CODE_EXISTS = b"ALREADYEXISTS"
CODE_NONEXISTENT = b"NONEXISTENT"
CODE_CANNOT = b"CANNOT"
CODE_USE_ATTRIBUTE = b"USEATTR"
CODE_READ_ONLY = b"READ-ONLY"
CODE_READ_WRITE = b"READ-WRITE"
CODE_TOO_BIG = b"TOOBIG"
CODE_EXPUNGE_ISSUED = b"EXPUNGEISSUED"
CODE_OVER_QUOTA = b"OVERQUOTA"
CODE_NO_PERMISSION = b"NOPERM"
CODE_CORRUPTION = b"CORRUPTION"
CODE_SERVER_BUG = b"SERVERBUG"
#: Refusals that an administrator should see: the disk, the bounds, ourselves.
NOT_THE_CLIENTS_FAULT = frozenset(
    (CODE_UNAVAILABLE, CODE_OVER_QUOTA, CODE_CORRUPTION, CODE_SERVER_BUG, CODE_LIMIT, CODE_TOO_BIG)
)
CODE_BAD_CHARSET = b"BADCHARSET (US-ASCII UTF-8)"


def tagged(tag: bytes, kind: bytes, text: bytes, code: bytes = b"") -> bytes:
    return tag + b" " + kind + (b" [" + code + b"] " if code else b" ") + text + CRLF


def untagged(text: bytes) -> bytes:
    return b"* " + text + CRLF


def go_on(text: bytes) -> bytes:
    return b"+ " + text + CRLF


def bye(text: bytes, code: bytes = b"") -> bytes:
    """`* BYE text`."""
    return untagged(b"BYE " + (b"[" + code + b"] " if code else b"") + text)


def greeting(capabilities: bytes) -> bytes:
    return untagged(b"OK [" + capability_code(capabilities) + b"] " + READY)


def capability(capabilities: bytes) -> bytes:
    """`* CAPABILITY IMAP4rev1 ...`."""
    return untagged(capability_code(capabilities))


def capability_code(capabilities: bytes) -> bytes:
    """The same as a response code."""
    return b"CAPABILITY " + capabilities


def uid_code(name: bytes, validity: int, *sets: bytes) -> bytes:
    """`APPENDUID 38505 3955`, `COPYUID 38505 304 3956` (RFC 4315 section 3)."""
    return b"%b %d %b" % (name, validity, b" ".join(sets))


def moved(copyuid: bytes) -> bytes:
    """MOVE's COPYUID, which comes before the EXPUNGEs (RFC 6851 section 4.3)."""
    return untagged(b"OK [" + copyuid + b"] Moved.")


def completed(verb: bytes) -> bytes:
    return verb + b" completed."


def error_text(text: str) -> bytes:
    """What the grammar has expected as one line of US-ASCII."""
    return text.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")[:200]


def fetch(number: int, items: bytes) -> bytes:
    """`* 7 FETCH (items)`."""
    return b"* %d FETCH (%b)\r\n" % (number, items)


def numbered(number: int, what: bytes) -> bytes:
    """`* 7 EXPUNGE`, `* 7 EXISTS`."""
    return b"* %d %b\r\n" % (number, what)


def listed(verb: bytes, attributes: Iterable[bytes], name: bytes, extra: bytes = b"") -> bytes:
    """`* LIST (attributes) "." "name"`."""
    return b"* " + verb + b" (" + b" ".join(attributes) + b') "." ' + quote(name) + extra + CRLF


def status(name: bytes, items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """`* STATUS "name" (MESSAGES 1)`."""
    pairs = b" ".join(b"%b %b" % pair for pair in items)
    return b"* STATUS " + quote(name) + b" (" + pairs + b")" + CRLF


def flags(keywords: Iterable[bytes], system: bytes) -> bytes:
    """`* FLAGS (...)`."""
    return b"* FLAGS (" + b" ".join((*keywords, system)) + b")" + CRLF


def permanent_flags(keywords: Iterable[bytes], system: bytes, *, more: bool) -> bytes:
    """What of that may be set, and with `more` that new keywords may be made."""
    names = b" ".join((*keywords, system, *([b"\\*"] if more else [])))
    return b"* OK [PERMANENTFLAGS (" + names + b")] Limited.\r\n"


#: All that RFC 4314 has, and what they stand for in RFC 2086.
RIGHTS = b"acdeiklprstwx"


def quota_root(mailbox: bytes, root: bytes) -> bytes:
    """`* QUOTAROOT "INBOX" "ROOT"`."""
    return untagged(b"QUOTAROOT " + quote(mailbox) + b" " + quote(root))


def quota(root: bytes, resources: Iterable[tuple[bytes, int, int]]) -> bytes:
    """`* QUOTA "ROOT" (STORAGE 1 98)`: name, usage, limit of each."""
    return untagged(b"QUOTA " + quote(root) + b" (" + b" ".join(b"%b %d %d" % one for one in resources) + b")")


def acl(mailbox: bytes, owner: bytes) -> bytes:
    """`* ACL "INBOX" "joni" lrswipkxtea`: nobody else has any."""
    return untagged(b"ACL " + quote(mailbox) + b" " + quote(owner) + b" " + RIGHTS)


def my_rights(mailbox: bytes) -> bytes:
    """`* MYRIGHTS "INBOX" lrswipkxtea`."""
    return untagged(b"MYRIGHTS " + quote(mailbox) + b" " + RIGHTS)


def list_rights(mailbox: bytes, identifier: bytes, *, owner: bool) -> bytes:
    """What the identifier always has; others can be given nothing."""
    rights = RIGHTS if owner else b'""'
    return untagged(b"LISTRIGHTS " + quote(mailbox) + b" " + quote(identifier) + b" " + rights)


def mailbox_id(validity: int) -> bytes:
    """MAILBOXID (RFC 8474 section 4): the folder keeps its UIDVALIDITY under every name, and none has it after it."""
    return b"MAILBOXID (F%d)" % validity


def ok_code(code: bytes, text: bytes) -> bytes:
    """`* OK [code] text`."""
    return untagged(b"OK [" + code + b"] " + text)


def unseen(number: int) -> bytes:
    """SELECT's, of the first message that is not \\Seen."""
    return b"* OK [UNSEEN %d] First unseen.\r\n" % number


def uids(validity: int, next_uid: int) -> tuple[bytes, bytes]:
    return b"* OK [UIDVALIDITY %d] UIDs valid.\r\n" % validity, b"* OK [UIDNEXT %d] Next UID.\r\n" % next_uid


def vanished(uids: Iterable[int], *, earlier: bool = False) -> bytes:
    """`* VANISHED 300:310,405`, in place of EXPUNGE (RFC 7162 section 3.2.10)."""
    return untagged(b"VANISHED " + (b"(EARLIER) " if earlier else b"") + render_set(uids))


def highest_modseq(modseq: int) -> bytes:
    """`* OK [HIGHESTMODSEQ 12]`."""
    return ok_code(b"HIGHESTMODSEQ %d" % modseq, b"Highest.")


def modified(numbers: Iterable[int]) -> bytes:
    """STORE's code where messages were not as the client has known them (RFC 7162 section 3.1.3)."""
    return b"MODIFIED " + render_set(numbers)


def enabled(names: Iterable[bytes]) -> bytes:
    """`* ENABLED CONDSTORE`."""
    return untagged(b" ".join((b"ENABLED", *names)))


def no_update(tag: bytes) -> bytes:
    """The result stands, and what changes in it will not be told (RFC 5267 section 4.3.1)."""
    return b'* NO [NOUPDATE "%b"] Too many results are watched.\r\n' % tag


ID = b'* ID ("name" "' + SERVER_NAME + b'")\r\n'
CLOSED = b"* OK [CLOSED] Previous mailbox closed.\r\n"
NO_MODSEQ = b"* OK [NOMODSEQ] No mod-sequences here.\r\n"
ENABLE_QRESYNC_FIRST = b"ENABLE QRESYNC first."
NO_PERMANENT_FLAGS = b"* OK [PERMANENTFLAGS ()] Read-only.\r\n"
NOT_SEARCHED = b"* NO Some messages cannot be read and were not searched.\r\n"
NOT_STORED = b"* NO No room on the disk: some flags last as long as this session.\r\n"
NOT_STICKY = b"* NO [UIDNOTSTICKY] The UIDs cannot be stored just now and will not last.\r\n"
NAMESPACE = b'* NAMESPACE (("INBOX." ".")) NIL NIL\r\n'
DELIMITER = b'* LIST (\\Noselect) "." ""\r\n'
