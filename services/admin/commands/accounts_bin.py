"""useradd, userdel, usermod, passwd and groupadd as the tutorial types them in a shell of its machine (chapters 5.1.3
and 6.3). They make accounts of this mail server, which every role knows at once, and no other."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence

from services.admin.accounts.users import UserError
from services.admin.commands.deployment import Deployment

EX_USAGE = 2
#: The accounts of qmail's programs in chapter 5.1.3, and what each is here.
_OF_ROLES = {
    "alias": "the owner of /var/qmail/alias",
    "qmaild": "the role smtpd",
    "qmaill": "the role log",
    "qmailp": "the role delivery-local",
    "qmailq": "the role queue",
    "qmailr": "the role delivery-remote",
    "qmails": "the role queue",
}
#: Options of useradd(8) that have an argument; what they say is decided here for every account alike.
_WITH_ARGUMENT = frozenset("-b -c -d -e -f -g -G -k -K -p -s -u".split())


def useradd(deployment: Deployment, arguments: Sequence[str]) -> int:
    """An account with home and Maildir, and without a password: `passwd` gives it one."""
    name = _name(arguments)
    if name in _OF_ROLES:
        print(f"useradd: {name} is here already: {_OF_ROLES[name]}")
        return 0
    deployment.users.add(name, None)
    return 0


def userdel(deployment: Deployment, arguments: Sequence[str]) -> int:
    """End an account; -r removes its home."""
    deployment.users.remove(_name(arguments), remove_home="-r" in arguments)
    return 0


def usermod(deployment: Deployment, arguments: Sequence[str]) -> int:
    """-L locks log-in by password, -U unlocks it."""
    if len(arguments) != 2 or arguments[0] not in ("-L", "-U"):
        raise ValueError("expected -L or -U and a name; home, uid and group are fixed here")
    deployment.users.set_locked(arguments[1], locked=arguments[0] == "-L")
    return 0


def groupadd(_deployment: Deployment, arguments: Sequence[str]) -> int:
    """Nothing to do: each account has a group of its own, and the roles have theirs."""
    print(f"groupadd: {_name(arguments)}: no group is needed, each account has one of its own")
    return 0


def passwd(deployment: Deployment, arguments: Sequence[str]) -> int:
    """Change a password, with the words of the tutorial's system."""
    name = _name(arguments)
    deployment.users.named(name)
    print(f"Changing password for user {name}.", flush=True)
    deployment.users.set_password(name, _ask())
    deployment.forget_first_password(name)
    print("passwd: all authentication tokens updated successfully.")
    return 0


PROGRAMS: dict[str, Callable[[Deployment, Sequence[str]], int]] = {
    "useradd": useradd,
    "userdel": userdel,
    "usermod": usermod,
    "groupadd": groupadd,
    "passwd": passwd,
}


def run(name: str, deployment: Deployment, arguments: Sequence[str]) -> int:
    """The program's exit code."""
    try:
        return PROGRAMS[name](deployment, arguments)
    except (UserError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EX_USAGE


def _ask() -> str:
    """Twice at a terminal, else the first line of standard input. Raises ValueError, EOFError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Retype new password: ") != password:
        raise ValueError("Sorry, passwords do not match.")
    return password


def _name(arguments: Sequence[str]) -> str:
    names, option = [], False
    for word in arguments:
        if option or word.startswith("-"):
            option = not option and word in _WITH_ARGUMENT
        else:
            names.append(word)
    if len(names) != 1:
        raise ValueError("expected one name")
    return names[0]
