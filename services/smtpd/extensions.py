"""SMTP's extensions, a row each: what EHLO says of it, and the parameter that it adds to MAIL (RFC 5321 2.2). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qmail.message.envelope import NO_PARAMETERS, MailParameters
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.grammar import has_unknown


def _take(_dialogue: Dialogue, _value: bytes) -> bytes | None:
    return None


def _starttls(dialogue: Dialogue) -> bytes | None:
    return b"STARTTLS" if dialogue.client.tls_offered else None


def _auth(dialogue: Dialogue) -> bytes | None:
    return b"AUTH PLAIN LOGIN" if dialogue.client.auth_offered else None


def _refuse_body(_dialogue: Dialogue, value: bytes) -> bytes | None:
    """RFC 6152 2."""
    return None if value.upper() in (b"7BIT", b"8BITMIME") else replies.BAD_BODY


def _refuse_size(dialogue: Dialogue, value: bytes) -> bytes | None:
    """RFC 1870 6.1."""
    if not value.isdigit() or len(value) > 20:
        return replies.BAD_SIZE
    return replies.TOO_BIG if 0 < dialogue.limit_bytes < int(value) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """`keyword` gives EHLO's line, None where the extension is not offered now; `parameter` is its word in MAIL,
    `refuse` the reply to a value that is wrong there; `of_qmail`: qmail 1.03 has it."""

    keyword: Callable[[Dialogue], bytes | None]
    parameter: bytes | None = None
    refuse: Callable[[Dialogue, bytes], bytes | None] = _take
    of_qmail: bool = False


# In the order in which EHLO names them.
EXTENSIONS = (
    Extension(keyword=lambda _dialogue: b"PIPELINING", of_qmail=True),
    Extension(keyword=lambda _dialogue: b"8BITMIME", parameter=b"BODY", refuse=_refuse_body, of_qmail=True),
    Extension(keyword=lambda _dialogue: b"SMTPUTF8", parameter=b"SMTPUTF8"),
    Extension(keyword=lambda dialogue: b"SIZE %d" % dialogue.limit_bytes, parameter=b"SIZE", refuse=_refuse_size),
    Extension(keyword=_starttls),
    # AUTH= is taken, and no more: whose mail it was is not passed on (RFC 4954 5).
    Extension(keyword=_auth, parameter=b"AUTH"),
    Extension(keyword=lambda _dialogue: b"HELP"),
)


def keywords(dialogue: Dialogue) -> list[bytes]:
    """EHLO's lines (RFC 5321 4.1.1.1)."""
    rows = [each for each in EXTENSIONS if dialogue.policy.extensions or each.of_qmail]
    return [line for each in rows if (line := each.keyword(dialogue)) is not None]


def refuse_parameters(dialogue: Dialogue, given: Mapping[bytes, bytes]) -> bytes | None:
    """The reply to MAIL's parameters where they are not taken: 555 for what EHLO does not announce (RFC 5321 4.1.1.11),
    else what there is to say of the first one that is wrong."""
    offered = {each.parameter: each for each in EXTENSIONS if each.parameter and each.keyword(dialogue) is not None}
    if has_unknown(given, offered.keys()):
        return replies.UNKNOWN_PARAMETER
    refusals = (offered[name].refuse(dialogue, value) for name, value in given.items() if name in offered)
    return next((refusal for refusal in refusals if refusal is not None), None)


def mail_parameters(given: Mapping[bytes, bytes]) -> MailParameters:
    """What of MAIL's parameters goes on with the message."""
    if not given:
        return NO_PARAMETERS
    return MailParameters(given.get(b"BODY", b"7BIT").upper().decode(), smtputf8=b"SMTPUTF8" in given)
