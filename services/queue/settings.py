"""The queue's settings: from the environment at the start, from the control files at each reload (qmail-send(8))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmail.control.files import Control
from qmail.control.read_routes import read_routes
from qmail.control.settings import SettingsError, read_port
from qmail.control.table import CONCURRENCYLOCAL, CONCURRENCYREMOTE, QUEUELIFETIME
from qmail.role.interfaces import host_to_listen
from services.queue.decide.controls import Controls

DEFAULT_HTTP_PORT = 2180


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpListen:
    """Where the HTTP interface listens."""

    host: str
    port: int


def read_http(environ: Mapping[str, str]) -> HttpListen:
    """HTTP_LISTEN, LISTEN_NETWORK. Raises SettingsError."""
    text = environ.get("HTTP_LISTEN", f"0.0.0.0:{DEFAULT_HTTP_PORT}")
    host, _, port = text.rpartition(":")
    try:
        number = read_port(port)
    except ValueError as error:
        raise SettingsError(f"HTTP_LISTEN={text}: expected address:port, as in 127.0.0.1:2180") from error
    try:
        return HttpListen(host=host_to_listen(host, environ), port=number)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def read_controls(control: Control) -> Controls:
    """As the files are now. Raises ControlError."""
    return Controls(
        routes=read_routes(control),
        concurrency={"local": control.get(CONCURRENCYLOCAL), "remote": control.get(CONCURRENCYREMOTE)},
        lifetime_seconds=control.get(QUEUELIFETIME),
    )
