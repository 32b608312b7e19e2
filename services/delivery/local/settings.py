"""What local delivery is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: What programs may know of our environment.
_PASSED_ON: Final = ("PATH", "QMAIL_DIR", "RUN_DIR", "TZ", "LANG")


class SettingsError(Exception):
    """A setting is wrong; the text names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process."""

    per_user: bool  #: IDENTITY: act as each account, or as the caller
    program_environment: dict[bytes, bytes]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in an environment. Raises SettingsError."""
    identity = environ.get("IDENTITY", "per-user")
    if identity not in ("per-user", "single"):
        raise SettingsError(f"IDENTITY is {identity!r}; expected per-user or single")
    passed = {name.encode(): environ[name].encode() for name in _PASSED_ON if name in environ}
    return Settings(per_user=identity == "per-user", program_environment=passed)
