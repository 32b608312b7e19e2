"""`qmailctl`: the commands of the tutorial's chapter 5.1.10, and those for accounts."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from qmail.bus.connect import CredentialsError
from qmail.bus.ports import TemporaryError
from qmail.control.files import Control
from qmail.control.table import DEFAULTDOMAIN
from qmail.maildir.quota import parse_limits
from qmail.message.dates import tai64nlocal
from qmail.message.printable import printable, printable_lines
from services.admin.accounts.quota import QuotaError, set_quota
from services.admin.accounts.su import BadArguments, become, parse_order, stay
from services.admin.accounts.users import UserError
from services.admin.commands import report
from services.admin.commands.check import check, faults_beside_the_queue
from services.admin.commands.deployment import Deployment, Usage, no_arguments
from services.admin.commands.domain import domain, init
from services.admin.commands.logins import logins
from services.admin.commands.queue_client import QueueUnreachable
from services.admin.commands.refusals import refusals
from services.admin.commands.rescue import rescue
from services.admin.commands.route_passwords import set_password
from services.admin.commands.rules_check import first_fault
from services.admin.commands.showctl import showctl
from services.admin.commands.stat import stat
from services.admin.commands.usage import HELP, USAGE
from services.admin.commands.zone_report import dns_report
from services.admin.directories import read_directories
from services.admin.setup.release import RELEASE, VERSION
from services.inject.__main__ import run as qmail_inject
from services.inject.quiet import ends_quietly
from services.inject.sendmail import run as sendmail

EX_TEMPORARY = 111
LOG_LINES = "20"
FROM_OUTSIDE = "./qmailctl {} at the top of the checkout, on the machine that the containers run on"


Command = Callable[[Deployment, list[str]], int]


def queue(deployment: Deployment, arguments: list[str]) -> int:
    """qmail-qstat and qmail-qread."""
    no_arguments(arguments)
    client = deployment.queue
    print(report.render_qstat(client.status()) + report.render_qread(client.messages()), end="")
    return 0


def _order(name: str, text: str) -> Command:
    def command(deployment: Deployment, arguments: list[str]) -> int:
        no_arguments(arguments)
        print(text, flush=True)
        faults = deployment.queue.command(name).get("faults") or []
        for fault in faults:
            print(f"qmailctl: {printable_lines(fault)}", file=sys.stderr)
        return 1 if faults else 0

    return command


def cdb(deployment: Deployment, arguments: list[str]) -> int:
    """Check tcp.smtp; smtpd reads it at the next connection."""
    no_arguments(arguments)
    path = deployment.directories.paths.tcp_smtp
    fault = first_fault(path, deployment.smtpd_networks)
    if fault is not None:
        print(fault, file=sys.stderr)
        return EX_TEMPORARY
    print(f"Reloaded {path}.")
    return 0


def useradd(deployment: Deployment, arguments: list[str]) -> int:
    """An account, known to every role at once."""
    name = _one(arguments)
    user = deployment.users.add(name, _read_password(name))
    domain = Control(deployment.directories.paths.control).get(DEFAULTDOMAIN).decode("utf-8", "replace")
    print(f"{name}: uid {user.uid}, home {user.home}, mail address {name}@{domain}")
    return 0


def userdel(deployment: Deployment, arguments: list[str]) -> int:
    remove_home = arguments[:1] == ["-r"]
    user = deployment.users.remove(_one(arguments[1:] if remove_home else arguments), remove_home=remove_home)
    shutil.rmtree(deployment.directories.paths.imapcache / str(user.uid), ignore_errors=True)
    return 0


def passwd(deployment: Deployment, arguments: list[str]) -> int:
    name = _one(arguments)
    deployment.users.set_password(name, _read_password(name))
    deployment.forget_first_password(name)
    return 0


def usermod(deployment: Deployment, arguments: list[str]) -> int:
    """Lock or unlock log-in; set a quota."""
    if arguments[:1] == ["--quota"] and len(arguments) == 3:
        return _usermod_quota(deployment, limits=arguments[1], name=arguments[2])
    if arguments[:1] not in (["-L"], ["-U"]):
        raise Usage
    deployment.users.set_locked(_one(arguments[1:]), locked=arguments[0] == "-L")
    return 0


def _usermod_quota(deployment: Deployment, *, limits: str, name: str) -> int:
    wanted = parse_limits(limits.encode("utf-8", "replace"))
    if wanted is None and limits != "none":
        print(f"qmailctl: {printable(limits)}: expected a quota as 100000000S,10000C or none", file=sys.stderr)
        return 1
    set_quota(deployment.users.named(name), wanted, per_user=deployment.per_user)
    return 0


def routepasswd(deployment: Deployment, arguments: list[str]) -> int:
    """The password for a relay of control/smtproutes."""
    removes = arguments[:1] == ["-d"]
    names = arguments[1:] if removes else arguments
    if len(names) != 2:
        raise Usage
    relay, user = names
    set_password(deployment, relay, user, None if removes else _read_password(f"{user} at {relay}"))
    return 0


def users(deployment: Deployment, arguments: list[str]) -> int:
    """The accounts, as in /etc/passwd: name, uid, home."""
    no_arguments(arguments)
    for user in deployment.users.all():
        print(f"{user.name}:{user.uid}:{user.home}")
    return 0


def log(deployment: Deployment, arguments: list[str]) -> int:
    """What tail(1) shows of the queue's log, with times that people read (tai64nlocal(8))."""
    path = deployment.directories.paths.log / "qmail" / "current"
    argv = ["tail", *(arguments or ["-n", LOG_LINES]), str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        try:
            for line in tail.stdout:
                print(tai64nlocal(line.decode("utf-8", "replace")), end="", flush=True)
        except (BrokenPipeError, KeyboardInterrupt):
            tail.terminate()
            raise
    return tail.returncode


def su(deployment: Deployment, arguments: list[str]) -> int:
    try:
        order = parse_order(arguments)
    except BadArguments:
        raise Usage from None
    if order.name is None:
        stay(deployment.directories.paths.control.parent, deployment.environ, order.argv)
    user = deployment.users.named(order.name)
    become(user, deployment.environ, order.argv, per_user=deployment.per_user)


def acknowledge(deployment: Deployment, arguments: list[str]) -> int:
    """The losses are known: they stand no more, and stat's exit code is no longer theirs."""
    no_arguments(arguments)
    for loss in deployment.losses.acknowledge():
        print(f"acknowledged: {loss.text}")
    return 0


def put(program: Callable[[list[bytes], Mapping[bytes, bytes]], int]) -> Command:
    """A command that puts the message on standard input."""

    def command(_deployment: Deployment, arguments: list[str]) -> int:
        # Who says nothing of himself (qmail-inject(8)) is the administrator.
        unknown = not any(os.environb.get(name) for name in (b"QMAILUSER", b"MAILUSER", b"USER", b"LOGNAME"))
        sender = {**os.environb, b"QMAILUSER": b"root"} if unknown else os.environb
        return program([os.fsencode(argument) for argument in arguments], sender)

    return command


def version(_deployment: Deployment, arguments: list[str]) -> int:
    """The version, and the form of what lies on disk and bus (docs/decisions/0014)."""
    no_arguments(arguments)
    print(f"qmail-containers {VERSION}, release {RELEASE}")
    return 0


def start(_deployment: Deployment, arguments: list[str]) -> int:
    """Whoever can type this is inside what is running already."""
    no_arguments(arguments)
    print("Starting qmail: it is running. The whole of it starts from outside:", FROM_OUTSIDE.format("start"))
    return 0


def _from_outside(name: str) -> Command:
    def command(_deployment: Deployment, arguments: list[str]) -> int:
        no_arguments(arguments)
        print(f"qmailctl: {name} ends what this shell is in, and nothing in there may; type", file=sys.stderr)
        print(f"qmailctl: {FROM_OUTSIDE.format(name)}", file=sys.stderr)
        return 1

    return command


def show_help(_deployment: Deployment, _arguments: list[str]) -> int:
    print(HELP, end="")
    return 0


_FLUSH = _order("flush", "Flushing timeout table and sending ALRM signal to qmail-send.")
_HUP = _order("reload", "Sending HUP signal to qmail-send.")


def reload(deployment: Deployment, arguments: list[str]) -> int:
    """The queue takes its files; what is wrong with the others', which they take by themselves, is said too."""
    status = _HUP(deployment, arguments)
    faults = faults_beside_the_queue(Control(deployment.directories.paths.control))
    for fault in faults:
        print(f"qmailctl: {printable(fault)}", file=sys.stderr)
    return 1 if faults else status


COMMANDS: dict[str, Command] = {
    "start": start,
    "stop": _from_outside("stop"),
    "restart": _from_outside("restart"),
    "stat": stat,
    "doqueue": _FLUSH,
    "alrm": _FLUSH,
    "flush": _FLUSH,
    "queue": queue,
    "reload": reload,
    "hup": reload,
    "pause": _order("pause", "Pausing qmail-send"),
    "cont": _order("cont", "Continuing qmail-send"),
    "cdb": cdb,
    "check": check,
    "showctl": showctl,
    "refusals": refusals,
    "acknowledge": acknowledge,
    "rescue": rescue,
    "help": show_help,
    "useradd": useradd,
    "userdel": userdel,
    "passwd": passwd,
    "usermod": usermod,
    "domain": domain,
    "init": init,
    "users": users,
    "routepasswd": routepasswd,
    "logins": logins,
    "dns": dns_report,
    "version": version,
    "log": log,
    "su": su,
    "inject": put(qmail_inject),
    "sendmail": put(sendmail),
}


def _one(arguments: list[str]) -> str:
    if len(arguments) != 1:
        raise Usage
    return arguments[0]


def _read_password(name: str) -> str:
    """Asked twice at a terminal, else the first line of standard input. Raises ValueError, EOFError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"New password for {name}: ")
    if getpass.getpass("Again: ") != password:
        raise ValueError("the two passwords differ; nothing was changed")
    return password


def main(arguments: list[str]) -> int:
    """Exit code 0 done, 1 not done or usage, 111 try again."""
    if not arguments or arguments[0] not in COMMANDS:
        print(USAGE, end="", file=sys.stderr)
        return 1
    deployment = Deployment(os.environ, read_directories(os.environ))
    try:
        return COMMANDS[arguments[0]](deployment, arguments[1:])
    except Usage:
        print(USAGE, end="", file=sys.stderr)
        return 1
    except (QueueUnreachable, TemporaryError, TimeoutError) as error:
        why = printable_lines(str(error)) or "the bus does not answer"
        print(f"qmailctl: {why}; try again", file=sys.stderr)
        return EX_TEMPORARY
    except BrokenPipeError:
        raise  # nobody reads
    except (UserError, QuotaError, CredentialsError, ValueError, OSError, EOFError, KeyboardInterrupt) as error:
        print(f"qmailctl: {printable_lines(str(error))}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(ends_quietly(lambda: main(sys.argv[1:])))
