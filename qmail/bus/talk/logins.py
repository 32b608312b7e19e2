"""Who is slowed for wrong passwords: asked by admin (`qmailctl logins`), answered by auth; and what auths tell each
other, so that several of them are no more generous than one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from qmail.bus.ports import BusDown

#: Request, to one of them: empty -> `{"v": 1, "slowed": [...]}`.
SLOWED: Final = "login.slowed"
#: Request, to all of them; the first answer counts: `{"v": 1, "who"}` -> `{"v": 1, "lifted": N}`.
LIFT: Final = "login.lift"
#: A wrong password, told to all of them.
WRONG: Final = "login.wrong"
SUBJECTS: Final = (SLOWED, LIFT, WRONG)
ASK_SECONDS: Final = 5.0
#: More are not shown: 300 bytes each fit into a message of the bus many times.
MAX_SHOWN: Final = 1000
MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowed:
    """One budget that is used up. `since` and `next` (when another attempt may begin) in seconds since 1970."""

    kind: str
    account: str
    network: str
    wrong: int
    since: float
    next: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A wrong password. `known`: the account is known to use the network; `shared`: many share the network.
    `auth`: who tells it, a word of its own choice."""

    auth: str
    account: str
    network: str
    known: bool
    shared: bool


def encode_slowed(slowed: list[Slowed]) -> bytes:
    return json.dumps({"v": 1, "slowed": [asdict(one) for one in slowed[:MAX_SHOWN]]}).encode()


def parse_slowed(payload: bytes) -> list[Slowed]:
    """Raises BusDown for what is no answer."""
    try:
        return [Slowed(**one) for one in json.loads(payload)["slowed"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BusDown(f"auth's answer was not understood: {error}") from error


def encode_lift(who: str) -> bytes:
    """The request LIFT: an account, a network as it is shown, or `all`."""
    return json.dumps({"v": 1, "who": who}).encode()


def parse_lift(payload: bytes) -> str | None:
    """None for what is no request."""
    found = _parse(payload)
    who = found.get("who")
    return who if isinstance(who, str) else None


def encode_lifted(count: int) -> bytes:
    return json.dumps({"v": 1, "lifted": count}).encode()


def parse_lifted(payload: bytes) -> int:
    """Raises BusDown for what is no answer."""
    count = _parse(payload).get("lifted")
    if not isinstance(count, int):
        raise BusDown("auth's answer was not understood")
    return count


def encode_wrong(wrong: Wrong) -> bytes:
    return json.dumps({"v": 1, **asdict(wrong)}).encode()


def parse_wrong(payload: bytes) -> Wrong | None:
    """None for what is none."""
    found = _parse(payload)
    found.pop("v", None)
    try:
        return Wrong(**found)
    except TypeError:
        return None


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload) if len(payload) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
