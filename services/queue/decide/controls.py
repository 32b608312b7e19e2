"""What the control files tell the scheduler. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmail.control.routing import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Where mail goes, deliveries at once by channel, and how many seconds a message is tried."""

    routes: Routes
    concurrency: Mapping[str, int]
    lifetime_seconds: int
