"""`qmailctl domain add|remove NAME` and `qmailctl init NAME`: the names that this mail server has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from qmail.message.printable import printable, printable_lines
from services.admin.commands.deployment import Deployment, Usage
from services.admin.commands.queue_client import QueueUnreachable
from services.admin.install import Installer
from services.admin.setup.config_fast import default_domain, parse_host, plus_domain
from services.admin.setup.domains import DomainError, Domains


def domain(deployment: Deployment, arguments: list[str]) -> int:
    """`add NAME`: delivered to the same users; `add NAME USER`: a virtual domain, all of it USER's; `remove NAME`."""
    match arguments:
        case ["add", name]:
            owner = ""
        case ["add", name, owner]:
            deployment.users.named(owner)
        case ["remove", name]:
            return _tell(lambda domains: domains.remove(_host(name), lambda: _reload(deployment)), deployment)
        case _:
            raise Usage
    return _tell(lambda domains: domains.add(_host(name), owner, lambda: _reload(deployment)), deployment)


def init(deployment: Deployment, arguments: list[str]) -> int:
    """config-fast (INSTALL of qmail) for another name than the first start's."""
    if len(arguments) != 1:
        raise Usage
    host = _host(arguments[0])
    return _tell(
        lambda domains: domains.rename(host, default_domain(host), plus_domain(host), lambda: _reload(deployment)),
        deployment,
    )


def _tell(change: Callable[[Domains], Iterator[str]], deployment: Deployment) -> int:
    try:
        for line in change(Domains(deployment.directories, Installer(per_user=deployment.per_user))):
            print(printable(line))
    except DomainError as error:
        print(f"qmailctl: {error}", file=sys.stderr)
        return 1
    return 0


def _host(name: str) -> str:
    """Raises ValueError."""
    try:
        return parse_host(name)
    except ValueError:
        raise ValueError(f"{name!r} is no domain; expected two labels or more, as in surat.xeris.com") from None


def _reload(deployment: Deployment) -> None:
    """The queue takes its files; one that is away takes them when it starts."""
    try:
        faults = deployment.queue.command("reload").get("faults") or []
    except (QueueUnreachable, FileNotFoundError):
        print("the queue does not answer: it takes the change when it starts", file=sys.stderr)
        return
    for fault in faults:
        print(f"qmailctl: {printable_lines(fault)}", file=sys.stderr)
