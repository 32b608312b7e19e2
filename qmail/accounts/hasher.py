"""What a password costs whoever guesses it: argon2id (RFC 9106) with OWASP's m=19456 t=2 p=1.

admin makes the hashes with it; auth, for which a hash carries its own costs, does the same work for names without one.
"""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher, Type

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
