"""Routes live in the shared library: local delivery answers `ask.rcpt` by the same rules."""

from __future__ import annotations

from qmail.control import ControlError
from qmail.routing import LOCAL, REMOTE, Route, Routes, check_routes, read_routes

__all__ = ["LOCAL", "REMOTE", "ControlError", "Route", "Routes", "check_routes", "read_routes"]
