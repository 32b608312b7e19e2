"""What local delivery is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qmail.accounts.identity import read_identity

#: What programs may know of our environment.
_PASSED_ON: Final = ("PATH", "QMAIL_DIR", "RUN_DIR", "TZ", "LANG", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP")
#: A library that each of them loads first, and we do not: libnss_wrapper, where the system does not know our accounts.
_PRELOAD: Final = "PROGRAM_PRELOAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process."""

    per_user: bool  #: IDENTITY: act as each account, or as the caller
    program_environment: dict[bytes, bytes]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in an environment. Raises SettingsError."""
    passed = {name.encode(): environ[name].encode() for name in _PASSED_ON if name in environ}
    if environ.get(_PRELOAD):
        passed[b"LD_PRELOAD"] = environ[_PRELOAD].encode()
    return Settings(per_user=read_identity(environ), program_environment=passed)
