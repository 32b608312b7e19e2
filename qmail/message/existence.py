"""Whether a local recipient exists, as far as it is known. Pure."""

from __future__ import annotations

from enum import Enum


class Exists(Enum):
    """What delivery-local knows of a recipient; a doubt is UNKNOWN, never NO."""

    OK = "ok"
    NO = "no"
    QUOTA = "quota"
    UNKNOWN = "unknown"
