"""`python -m services.admin.commands.bin NAME`: qmail's own commands beside qmailctl, as they lie in /var/qmail/bin."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from qmail.bus.connect import CredentialsError
from qmail.bus.ports import TemporaryError
from qmail.control.files import Control
from qmail.control.table import ME
from qmail.message.printable import printable_lines
from services.admin.commands import accounts_bin, mailboxes, newaliases, pw2u, report, svc, tcprules
from services.admin.commands.checkpassword import checkpassword
from services.admin.commands.deployment import Deployment
from services.admin.commands.queue_client import QueueClient, QueueUnreachable
from services.admin.commands.showctl import render
from services.admin.directories import read_directories
from services.inject.quiet import ends_quietly

EX_TEMPORARY = 111


def qmail_qstat(_arguments: Sequence[str]) -> int:
    """qmail-qstat(8): how much is in the queue."""
    print(report.render_qstat(_queue().status()), end="")
    return 0


def qmail_qread(_arguments: Sequence[str]) -> int:
    """qmail-qread(8): what is in the queue."""
    print(report.render_qread(_queue().messages()), end="")
    return 0


def qmail_showctl(_arguments: Sequence[str]) -> int:
    """qmail-showctl(8): what the control files say."""
    print(render(Control(read_directories(os.environ).paths.control)), end="")
    return 0


def _tcprules(arguments: Sequence[str]) -> int:
    return tcprules.tcprules(list(arguments), sys.stdin.buffer.read())


def _tcprulescheck(arguments: Sequence[str]) -> int:
    return tcprules.tcprulescheck(list(arguments), os.environ)


def _maildir2mbox(_arguments: Sequence[str]) -> int:
    return mailboxes.maildir2mbox(os.environ)


def _newaliases(_arguments: Sequence[str]) -> int:
    paths = read_directories(os.environ).paths
    return newaliases.newaliases(paths.alias, Control(paths.control).get(ME).decode("ascii", "replace"))


def _qmail_pw2u(arguments: Sequence[str]) -> int:
    return pw2u.qmail_pw2u(arguments, read_directories(os.environ).paths.users)


def _of_deployment(program: Callable[[Deployment, Sequence[str]], int]) -> Callable[[Sequence[str]], int]:
    return lambda arguments: program(Deployment(os.environ, read_directories(os.environ)), arguments)


PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "qmail-qstat": qmail_qstat,
    "qmail-qread": qmail_qread,
    "qmail-showctl": qmail_showctl,
    "tcprules": _tcprules,
    "tcprulescheck": _tcprulescheck,
    "maildir2mbox": _maildir2mbox,
    "mbox2maildir": mailboxes.mbox2maildir,
    "qmail-pw2u": _qmail_pw2u,
    "newaliases": _newaliases,
    "checkpassword": _of_deployment(checkpassword),
    "svc": _of_deployment(svc.svc),
    "svok": _of_deployment(svc.svok),
    "svstat": _of_deployment(svc.svstat),
}


def _queue() -> QueueClient:
    return QueueClient.find(os.environ, read_directories(os.environ).credentials_of("queue"))


def main(name: str, arguments: Sequence[str]) -> int:
    """The program's exit code; 111 where the queue does not answer, or is not for the caller to see."""
    try:
        if name in accounts_bin.PROGRAMS:
            deployment = Deployment(os.environ, read_directories(os.environ))
            return accounts_bin.run(name, deployment, arguments)
        return PROGRAMS[name](arguments)
    except BrokenPipeError:
        raise  # nobody reads
    except PermissionError:
        # The queue is not for everybody to see; qmail-qread says so on standard output.
        print("fatal: unable to chdir: access denied")
        return EX_TEMPORARY
    except (QueueUnreachable, TemporaryError, CredentialsError, OSError) as error:
        print(f"{name}: fatal: {printable_lines(str(error))}", file=sys.stderr)
        return EX_TEMPORARY


if __name__ == "__main__":
    raise SystemExit(ends_quietly(lambda: main(sys.argv[1], sys.argv[2:])))
