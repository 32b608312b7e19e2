"""What a plug-in wants to be asked, and how much memory it may have for whole bodies. Pure."""

from __future__ import annotations

from collections.abc import Set

# Of a container's 512 MB: while a plug-in looks at a body there are three copies of it.
BODIES_BYTES = 64 * 1024 * 1024


class Hooks:
    """One process's: the verbs (DATA stands for the whole body), and a bound on the bodies of all its sessions."""

    __slots__ = ("held_bytes", "limit_bytes", "verbs")

    def __init__(self, verbs: Set[str] = frozenset(), limit_bytes: int = BODIES_BYTES) -> None:
        self.verbs = verbs
        self.limit_bytes = limit_bytes
        self.held_bytes = 0


class Share:
    """One session's part of the memory."""

    __slots__ = ("_hooks", "held_bytes")

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self.held_bytes = 0

    def hold(self, size_bytes: int) -> bool:
        """Hold so much in place of what is held. False: there is no room, and nothing changes."""
        more = size_bytes - self.held_bytes
        if more > 0 and self._hooks.held_bytes + more > self._hooks.limit_bytes:
            return False
        self._hooks.held_bytes += more
        self.held_bytes = size_bytes
        return True
