"""The fixture `deployment`: an imap door on loopback."""

from __future__ import annotations

from tests.support.imap_door import deployment

__all__ = ["deployment"]
