"""One connection as a handler written for aiosmtpd sees it: `server`, `session`, `envelope`, each hook's arguments.

What a hook returns is a reply of SMTP, or None where it has no word to say; one that does not begin with 2 refuses.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from aiosmtpd.smtp import Session as AiosmtpdSession

from qmail.door.session import Peer, Visitor
from qmail.message.address import Address
from services.smtpd.facts import Hook, Hooked, Login

_REPLY = re.compile(rb"(?:[2-5]\d\d-[^\r\n]*\r\n)*[2-5]\d\d(?: [^\r\n]*)?\r\n")


class PluginError(Exception):
    """A handler's fault; the text says in which hook, and what."""


#: What was given up runs on until it hears of it; the loop itself keeps no hold on tasks.
_GIVEN_UP: set[asyncio.Future[Any]] = set()


class PluginSession(SMTP):
    """The `server` that hooks are given: aiosmtpd's attributes, its session and envelope, and `push`."""

    session: AiosmtpdSession
    envelope: Envelope

    def __init__(self, prototype: dict[str, Any], peer: Peer, visitor: Visitor, seconds: float) -> None:
        """`prototype`: an SMTP's attributes; `seconds`: how long a hook may take."""
        self.__dict__.update(prototype)
        self.loop = asyncio.get_running_loop()
        self._peer = peer
        self._visitor = visitor
        self._seconds = seconds
        self.session = self._make_session()
        self.envelope = Envelope()

    def _make_session(self) -> AiosmtpdSession:
        session = AiosmtpdSession(self.loop)
        session.peer = cast(Any, (self._peer.ip, self._peer.port))
        return session

    async def push(self, status: str | bytes) -> None:
        """Write a line of the plug-in's own."""
        self._visitor.send(_octets(status) + b"\r\n")

    def note(self, account: bytes) -> None:
        """What aiosmtpd notes after a handshake, which makes the session a new one, and after a log-in."""
        cipher = self._visitor.cipher
        if cipher is not None and self.session.ssl is None:
            self.session = self._make_session()
            self.session.ssl = {"cipher": cipher}
        if account and not self.session.authenticated:
            self.session.authenticated = True
            self.session.auth_data = cast(Any, account)

    async def call(self, hook: Hook) -> Hooked:
        """Raises PluginError for what the hook raises, for none in time, for what is no reply or no address."""
        self._follow(hook)
        method = getattr(self.event_handler, f"handle_{hook.verb}", None)
        if method is None:
            self._do_as_aiosmtpd(hook)
            return Hooked(None, ())

        async def ask() -> Hooked:
            arguments = _arguments(hook, method)
            status = await method(self, self.session, self.envelope, *arguments)
            return Hooked(_reply(hook, status, arguments), _addresses(self.envelope, hook))

        try:
            return cast(Hooked, await self._in_time(f"handle_{hook.verb}", ask))
        finally:
            if hook.verb == "DATA":
                self.envelope = Envelope()

    async def log_in(self, authenticator: Callable[..., Any], login: Login) -> bytes | None:
        """The name to log in as, None where the authenticator says no. Raises PluginError."""

        async def ask() -> bytes | None:
            data = LoginPassword(login.user, login.password)
            result = authenticator(self, self.session, self.envelope, login.mechanism, data)
            if inspect.isawaitable(result):
                result = await result
            if not isinstance(result, AuthResult) or not result.success:
                return None
            self.session.authenticated = True
            self.session.auth_data = result.auth_data
            return login.user

        return cast(bytes | None, await self._in_time("authenticator", ask))

    async def _in_time(self, name: str, ask: Callable[[], Any]) -> object:
        """The answer, waited for no longer than `seconds` even where a cancellation is not heard of."""
        task = asyncio.ensure_future(ask())
        try:
            if not (await asyncio.wait({task}, timeout=self._seconds))[0]:
                raise TimeoutError(f"no answer in {self._seconds:g} seconds")
            if task.cancelled():
                raise RuntimeError("it cancelled itself")
            return task.result()
        except Exception as error:
            raise PluginError(f"{name}: {type(error).__name__}: {error}") from error
        finally:
            if not task.done():
                _give_up(task)

    def _follow(self, hook: Hook) -> None:
        """The dialogue's own envelope is the truth; a hook's attributes on ours last as long as the transaction."""
        if hook.verb in ("HELO", "EHLO"):
            self.session.host_name = _text(hook.argument)
            self.session.extended_smtp = hook.verb == "EHLO"
        if hook.verb in ("HELO", "EHLO", "MAIL", "RSET"):
            self.envelope = Envelope()
        elif hook.verb in ("RCPT", "DATA"):
            self.envelope.mail_from = _text(hook.sender)
            self.envelope.rcpt_tos[:] = [_text(address) for address in hook.recipients]
        if hook.verb == "MAIL":
            self.envelope.smtp_utf8 = "SMTPUTF8" in _options(hook)
        elif hook.verb == "DATA":
            self.envelope.content = self.envelope.original_content = hook.argument.replace(b"\n", b"\r\n")

    def _do_as_aiosmtpd(self, hook: Hook) -> None:
        """Where there is no such hook."""
        if hook.verb == "MAIL":
            self.envelope.mail_options.extend(_options(hook))
        elif hook.verb == "RCPT":
            self.envelope.rcpt_options.extend(_options(hook))


def _give_up(task: asyncio.Future[Any]) -> None:
    def ended(task: asyncio.Future[Any]) -> None:
        _GIVEN_UP.discard(task)
        if not task.cancelled():
            task.exception()

    _GIVEN_UP.add(task)
    task.add_done_callback(ended)
    task.cancel()


def _arguments(hook: Hook, method: Callable[..., Any]) -> tuple[Any, ...]:
    if hook.verb in ("DATA", "RSET", "QUIT"):
        return ()
    if hook.verb in ("MAIL", "RCPT"):
        return _text(hook.argument), _options(hook)
    # handle_EHLO in its 5-argument form is given our lines and gives all.
    lines = hook.verb == "EHLO" and len(inspect.signature(method).parameters) == 5
    return (_text(hook.argument), [_text(line) for line in hook.options]) if lines else (_text(hook.argument),)


def _reply(hook: Hook, status: object, arguments: tuple[Any, ...]) -> bytes | None:
    """Raises ValueError for what is no reply of SMTP."""
    if status is None:
        return None
    lines = status if isinstance(status, list) else [status]
    if hook.verb == "EHLO" and len(arguments) == 1:
        lines = [*hook.options[:-1], *lines]
    reply = b"".join(_octets(line).rstrip(b"\r\n") + b"\r\n" for line in lines)
    if _REPLY.fullmatch(reply) is None:
        raise ValueError(f"no reply of SMTP: {status!r}")
    return reply


def _addresses(envelope: Envelope, hook: Hook) -> tuple[Address, ...]:
    """What the hook wants in place of the client's address."""
    if hook.verb == "MAIL" and envelope.mail_from is not None:
        return (_address(envelope.mail_from),)
    if hook.verb == "RCPT":
        return tuple(_address(address) for address in envelope.rcpt_tos[len(hook.recipients) :])
    return ()


def _address(text: str) -> Address:
    address = Address(_octets(text))
    if address.has_controls():
        raise ValueError(f"an address with control characters: {text!r}")
    return address


def _options(hook: Hook) -> list[str]:
    return [_text(option).upper() for option in hook.options]


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: object) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes):
        return text
    raise ValueError(f"neither text nor bytes: {text!r}")
