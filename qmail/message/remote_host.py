"""A client's name, as it was found out by the DNS. Pure."""

from __future__ import annotations

from typing import NamedTuple


class RemoteHost(NamedTuple):
    """In lower case, empty where it has none; `doubtful`: it could not be found out now."""

    name: str = ""
    doubtful: bool = False


NO_HOST = RemoteHost()
DOUBT = RemoteHost(doubtful=True)
