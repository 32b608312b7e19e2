"""A handler that was written for aiosmtpd, switched on by control/smtpdhandler (docs/smtpd-handler.md)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiosmtpd.smtp import SMTP

from qmail.control.files import Control
from qmail.control.paths import Paths
from qmail.control.settings import SettingsError
from qmail.control.table import SMTPDHANDLER
from qmail.door.session import Peer, Visitor
from services.smtpd.plugin_session import PluginSession

#: The hooks that are called, and those by which a plug-in's session and envelope follow the dialogue.
HOOKS: Final = frozenset({"HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "QUIT"})
FOLLOWED: Final = frozenset({"HELO", "EHLO", "MAIL", "RCPT", "RSET"})
HOOK_SECONDS: Final = 100.0

# Attributes that asyncio keeps for each StreamReaderProtocol; ours needs none of them.
_PER_CONNECTION = ("_stream_reader_wr", "_strong_reader", "_closed", "_task", "_transport")


class Plugin:
    """One process's handler. Its attribute `authenticator`, if any, answers AUTH, as aiosmtpd's does."""

    def __init__(self, handler: object, seconds: float = HOOK_SECONDS) -> None:
        self.verbs = FOLLOWED | {name for name in HOOKS if hasattr(handler, f"handle_{name}")}
        self.authenticator: Callable[..., Any] | None = getattr(handler, "authenticator", None)
        self._seconds = seconds
        self._prototype = _prototype(handler)

    def session(self, peer: Peer, visitor: Visitor) -> PluginSession:
        """For one connection. Called in the loop."""
        return PluginSession(self._prototype, peer, visitor, self._seconds)


def _prototype(handler: object) -> dict[str, Any]:
    """The attributes of an aiosmtpd SMTP. Its constructor inspects class and handler for 0.3 ms: once is enough."""
    loop = asyncio.new_event_loop()
    try:
        made = SMTP(handler, hostname="localhost", loop=loop)
    finally:
        loop.close()
    return {name: value for name, value in vars(made).items() if name not in _PER_CONNECTION}


MakePlugin: TypeAlias = Callable[[], Plugin]


def load_plugin(paths: Paths) -> MakePlugin | None:
    """What makes the handler that control/smtpdhandler names, once in each process; None: there is none.

    Its package is looked for among ours and in the directory `plugins`. Raises SettingsError, now or when called.
    """
    name = Control(paths.control).get(SMTPDHANDLER).decode("ascii")
    if not name:
        return None
    sys.path.append(str(paths.plugins))
    module, _, attribute = name.partition(":")
    where = f"{paths.control / SMTPDHANDLER.name}:1: expected a handler written for aiosmtpd, found {name}"
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise SettingsError(f"{where}: {type(error).__name__}: {error}") from error
    if unknown := _not_called(kind):
        raise SettingsError(f"{where}, whose {', '.join(unknown)} would not be called")

    def make() -> Plugin:
        try:
            return Plugin(kind())
        except Exception as error:
            raise SettingsError(f"{where}: {type(error).__name__}: {error}") from error

    return make


def _not_called(kind: object) -> list[str]:
    """Hooks of aiosmtpd that are not ours."""
    known = {f"handle_{name}" for name in HOOKS}
    return [name for name in dir(kind) if name.startswith(("handle_", "auth_")) and name not in known]
