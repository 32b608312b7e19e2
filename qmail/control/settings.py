"""What a process is told by its environment. A wrong setting is refused at the start, as a bad control file is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

DNS_PORT = 53
MAX_PORT = 65_535
DEFAULT_ADDRESS = "127.0.0.1"


class SettingsError(Exception):
    """The configuration is not to be started with; the text says where, what is there, and what was expected."""


def read_name_server(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """DNS_SERVER (`address` or `address:port`, IPv6 with a port in brackets); None where it is not set.

    Raises SettingsError."""
    text = environ.get("DNS_SERVER")
    if not text:
        return None
    address, port = _split(text)
    try:
        return str(ipaddress.ip_address(address)), read_port(port or str(DNS_PORT))
    except ValueError as error:
        raise SettingsError(f"DNS_SERVER: {error}; expected address or address:port") from error


def read_port(text: str) -> int:
    """A port in digits, 0 to 65535. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise ValueError(f"{text!r} is no port")
    return int(text)


def read_address(environ: Mapping[str, str]) -> str:
    """ADDRESS, on which this host's ports are published. Raises SettingsError."""
    text = environ.get("ADDRESS") or DEFAULT_ADDRESS
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise SettingsError(f"ADDRESS is {text!r}; expected an IP address of this host") from error


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return address, port.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    address, _, port = text.partition(":")
    return address, port
