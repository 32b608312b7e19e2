"""What others wrote for aiosmtpd: a handler's `handle_NAME` coroutines and an `authenticator`.

Called are handle_HELO, handle_EHLO, handle_MAIL, handle_RCPT and handle_DATA, with aiosmtpd's arguments. A status
that does not begin with 2 refuses. After handle_DATA's 2xx the message is still put on our queue: a plug-in
filters, it does not deliver.
"""

from __future__ import annotations

import inspect
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from qmail.message.address import Address
from services.smtpd.facts import Hook, Hooked, Login

HOOKS = frozenset({"HELO", "EHLO", "MAIL", "RCPT", "DATA"})


def hooks_of(handler: object) -> frozenset[str]:
    """The hooks that a handler has."""
    return frozenset(name for name in HOOKS if hasattr(handler, f"handle_{name}"))


async def call_hook(server: SMTP, handler: object, hook: Hook) -> Hooked:
    """Raises whatever the plug-in raises, and ValueError for an address of its own that none may be."""
    if server.envelope is None or hook.name in ("HELO", "EHLO"):
        server.envelope = Envelope()
    method = getattr(handler, f"handle_{hook.name}")
    envelope = server.envelope
    count = len(envelope.rcpt_tos)
    status = await method(server, server.session, envelope, *_arguments(server, envelope, hook))
    if isinstance(status, list):
        # handle_EHLO in its 5-argument form gives all lines.
        text = b"".join(_wire(line) for line in status)
        return Hooked(text, ())
    answer = _wire(status) if isinstance(status, str | bytes) else None
    return Hooked(answer, _addresses(envelope, hook, count))


def _arguments(server: SMTP, envelope: Envelope, hook: Hook) -> tuple[Any, ...]:
    text = hook.address.decode("utf-8", "surrogateescape") if hook.name != "DATA" else ""
    if hook.name in ("HELO", "EHLO"):
        if server.session is not None:
            server.session.host_name = text
            server.session.extended_smtp = hook.name == "EHLO"
        lines = [option.decode("latin-1") for option in hook.options]
        return (text, lines) if hook.name == "EHLO" and _wants_lines(server) else (text,)
    if hook.name == "DATA":
        envelope.content = envelope.original_content = hook.address
        return ()
    return text, [option.decode("latin-1").upper() for option in hook.options]


def _wants_lines(server: SMTP) -> bool:
    return len(inspect.signature(server.event_handler.handle_EHLO).parameters) == 5


def _addresses(envelope: Envelope, hook: Hook, count: int) -> tuple[Address, ...]:
    if hook.name == "MAIL" and envelope.mail_from is not None:
        return (_address(envelope.mail_from),)
    if hook.name == "RCPT":
        return tuple(_address(address) for address in envelope.rcpt_tos[count:])
    return ()


def _address(text: str) -> Address:
    address = Address(_raw(text))
    if address.has_controls():
        raise ValueError(f"a plug-in's address has control characters: {text!r}")
    return address


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _wire(line: str | bytes) -> bytes:
    raw = _raw(line) if isinstance(line, str) else line
    return raw.rstrip(b"\r\n") + b"\r\n"


async def call_authenticator(server: SMTP, authenticator: Any, login: Login) -> bytes | None:
    """The name to log in as, None where the authenticator says no."""
    data = LoginPassword(login.user, login.password)
    result = authenticator(server, server.session, server.envelope, login.mechanism, data)
    if inspect.isawaitable(result):
        result = await result
    if not isinstance(result, AuthResult) or not result.success:
        return None
    if server.session is not None:
        server.session.authenticated = True
        server.session.auth_data = result.auth_data
    return login.user
