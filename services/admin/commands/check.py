"""`qmailctl check`: what is wrong with the files of a deployment, and what may not be meant; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from qmail.control.files import Control, ControlError
from qmail.control.table import ME, TABLE
from qmail.message.printable import printable
from services.admin.commands.check_address import check_address
from services.admin.commands.check_client import check_client
from services.admin.commands.check_control import control_faults, control_notes
from services.admin.commands.check_files import (
    alias_faults,
    certificate_faults,
    dot_qmail_notes,
    postmaster_faults,
)
from services.admin.commands.deployment import Deployment
from services.admin.commands.rules_check import open_relay, smtpd_fault, traps
from services.admin.rights import read_rights


@dataclass(frozen=True, slots=True)
class Findings:
    """Faults keep a role from its work, or mail from its way; notes are what is taken as it is and may not be meant."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]

    def render(self) -> str:
        lines = [*(f"fault: {each}" for each in self.faults), *(f"note: {each}" for each in self.notes)]
        if not self.faults:
            lines.append("No fault in control files, aliases, rules and certificate.")
        return "".join(f"{printable(line)}\n" for line in lines)


def check(deployment: Deployment, arguments: list[str]) -> int:
    """The command; 1 where there is a fault. With a client's address, and perhaps its name, or a
    mail address: what it would get."""
    if arguments:
        return (check_address if "@" in arguments[0] else check_client)(deployment, arguments)
    found = find(deployment)
    print(found.render(), end="")
    return 1 if found.faults else 0


def find(deployment: Deployment) -> Findings:
    """Everything. Raises OSError where a directory cannot be read, ValueError for a bad line of users/assign."""
    paths = deployment.directories.paths
    control, users = Control(paths.control), deployment.users.all()
    rules_faults, rules_notes = _rules(deployment)
    return Findings(
        faults=(
            *control_faults(control, per_user=deployment.per_user),
            *rules_faults,
            *alias_faults(paths.alias, read_rights().alias_uid if deployment.per_user else None),
            *postmaster_faults(paths.alias, {user.name for user in users}),
            *certificate_faults(paths.tls, _host(control), datetime.now(UTC)),
        ),
        notes=(
            *control_notes(control),
            *rules_notes,
            *dot_qmail_notes((paths.alias, *(user.home for user in users))),
        ),
    )


def faults_beside_the_queue(control: Control) -> list[str]:
    """What the queue does not look at when it reloads: faults of the other roles' files."""
    return control.faults(file for file in TABLE if all(use.role != "queue" for use in file.uses))


def _rules(deployment: Deployment) -> tuple[list[str], list[str]]:
    path = deployment.directories.paths.tcp_smtp
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [f"{path}: {error.strerror}; expected a readable file"], []
    networks = deployment.smtpd_networks
    faults = filter(None, (smtpd_fault(content, networks), open_relay(content)))
    return [f"{path}: {fault}" for fault in faults], [f"{path}: {trap}" for trap in traps(content)]


def _host(control: Control) -> str:
    """control/me; nothing where it is bad, which is a fault of its own."""
    try:
        return control.get(ME).decode("utf-8", "backslashreplace").lower()
    except ControlError:
        return ""
