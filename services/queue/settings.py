"""The queue's settings, read once at the start from the control files (qmail-send(8)) and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmail.control import Control, ControlError

DEFAULT_HTTP_PORT = 2180


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Concurrencies are deliveries at once, times are seconds."""

    concurrency_local: int
    concurrency_remote: int
    lifetime_seconds: int
    http_host: str
    http_port: int


def read_settings(control: Control, environ: Mapping[str, str]) -> QueueSettings:
    """The settings of a deployment. Raises ControlError: file, and what was expected."""
    host, _, port = environ.get("HTTP_LISTEN", f"0.0.0.0:{DEFAULT_HTTP_PORT}").rpartition(":")
    if not port.isdigit():
        raise ControlError(f"HTTP_LISTEN={environ['HTTP_LISTEN']}: expected address:port, as in 127.0.0.1:2180")
    for name in ("concurrencylocal", "concurrencyremote", "queuelifetime"):
        line = control.line(name)
        if line is not None and line and not line.isdigit():
            raise ControlError(f"{control.directory / name}:1: expected a number, found {line.decode('latin-1')!r}")
    return QueueSettings(
        concurrency_local=control.number("concurrencylocal", 10),
        concurrency_remote=control.number("concurrencyremote", 20),
        lifetime_seconds=control.number("queuelifetime", 604800),
        http_host=host,
        http_port=int(port),
    )
