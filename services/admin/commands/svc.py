"""svc(8), svok(8), svstat(8) for the roles, by the names that the tutorial gives them, as /service/qmail-send.

What qmailctl can order, svc orders; nothing is stopped or started from within: svc says what to type instead."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import PurePath

from services.admin.commands.deployment import Deployment
from services.admin.commands.presences import Presences
from services.admin.commands.stat import everybody
from services.admin.rights import read_rights

EX_USAGE = 100
EX_FAILED = 111
_LETTERS = "udopchaitkx"
_OF_QMAIL = {"qmail-send": "queue", "qmail-smtpd": "smtpd", "qmail-pop3d": "pop3", "imapd": "imap"}
_LOG = "log"
# What the queue takes as the signals that svc sends to qmail-send.
_ORDERS = {"p": "pause", "c": "cont", "h": "reload", "a": "flush"}
# Every role takes its files by itself.
_NEEDLESS = "ha"
_COMPOSE = {"u": "start", "d": "stop", "t": "restart", "p": "pause", "c": "unpause", "k": "kill", "x": "stop"}


def role_of(name: str) -> str | None:
    """The role that a service's directory stands for; None for none. Its `log`, and NAME-log, are the role log."""
    parts = [part for part in PurePath(name).parts if part not in ("/", "service", ".")]
    if (len(parts) > 1 and parts[-1] == _LOG) or (parts and parts[-1].endswith("-log")):
        return _LOG
    role = _OF_QMAIL.get(parts[-1], parts[-1]) if parts else ""
    return role if role in {each.name for each in read_rights().bus_users} else None


def svstat(deployment: Deployment, arguments: Sequence[str]) -> int:
    """Whether each is up, since when, and its process. Raises what `everybody` raises."""
    _, presences = asyncio.run(everybody(deployment))
    for name in arguments:
        print(f"{name}: {_state(name, presences)}")
    return 0


def _state(name: str, presences: Presences) -> str:
    role = role_of(name)
    if role is None:
        return "unable to chdir: file does not exist"
    found = next((each for each in presences.present if each.role == role), None)
    if found is None:
        return "down, normally up"
    return f"up (pid {found.pid}) {int(found.seconds)} seconds"


def svok(deployment: Deployment, arguments: Sequence[str]) -> int:
    """0 where the role is up, 100 where it is not. Raises what `everybody` raises."""
    if len(arguments) != 1:
        print("svok: usage: svok dir", file=sys.stderr)
        return EX_USAGE
    role = role_of(arguments[0])
    if role is None:
        print(f"svok: fatal: unable to chdir to {arguments[0]}: file does not exist", file=sys.stderr)
        return EX_FAILED
    _, presences = asyncio.run(everybody(deployment))
    return 0 if presences.is_up(role) else EX_USAGE


def svc(deployment: Deployment, arguments: Sequence[str]) -> int:
    """Order what can be ordered; 111 where something could not. Raises OSError, QueueUnreachable."""
    letters = "".join(word[1:] for word in arguments if word.startswith("-"))
    if any(letter not in _LETTERS for letter in letters):
        print(f"svc: usage: svc [ -{_LETTERS} ] dir ...", file=sys.stderr)
        return EX_USAGE
    names = [word for word in arguments if not word.startswith("-")]
    done = [_order(deployment, name, letter) for name in names for letter in letters]
    return 0 if all(done) else EX_FAILED


def _order(deployment: Deployment, name: str, letter: str) -> bool:
    role = role_of(name)
    if role is None:
        print(f"svc: warning: unable to chdir to {name}: file does not exist", file=sys.stderr)
        return False
    if role == "queue" and letter in _ORDERS:
        faults = deployment.queue.command(_ORDERS[letter]).get("faults") or []
        for fault in faults:
            print(f"svc: warning: {fault}", file=sys.stderr)
        return not faults
    if letter in _NEEDLESS:
        return True
    print(
        f"svc: warning: {name}: nothing is stopped or started from within; {_instead(deployment, role, letter)}",
        file=sys.stderr,
    )
    return False


def _instead(deployment: Deployment, role: str, letter: str) -> str:
    verb = _COMPOSE.get(letter, "restart")
    if deployment.directories.below_qmail_dir:
        return f"type: ./qmailctl {verb if verb in ('start', 'stop') else 'restart'} (all roles), QMAIL_DIR set"
    return f"type where compose.yaml is: docker compose {verb} {role}"
