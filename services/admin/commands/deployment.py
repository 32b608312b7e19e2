"""What qmailctl's commands work on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from services.admin.accounts.users import Users
from services.admin.bus.losses import Losses
from services.admin.commands.queue_client import QueueClient
from services.admin.commands.rules_check import smtpd_networks
from services.admin.directories import Directories
from services.admin.install import Installer, is_per_user
from services.admin.rights import read_rights
from services.admin.setup.first_start import FIRST_PASSWORD


class Usage(Exception):
    """The arguments are none that a command takes."""


def no_arguments(arguments: Sequence[str]) -> None:
    """Raises Usage where there is one."""
    if arguments:
        raise Usage


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, by the environment of whoever types a command."""

    environ: Mapping[str, str]
    directories: Directories

    @property
    def queue(self) -> QueueClient:
        """Raises OSError where the token is not readable."""
        return QueueClient.find(self.environ, self.directories.credentials_of("queue"))

    @property
    def per_user(self) -> bool:
        """Whether each account has a uid of its own."""
        return is_per_user(self.environ, os.geteuid())

    @property
    def smtpd_networks(self) -> list[IPv4Network]:
        """Those of smtpd's container, whom it lets not relay; without containers it sees the clients themselves."""
        return [] if self.directories.below_qmail_dir else smtpd_networks(self.environ)

    @property
    def losses(self) -> Losses:
        return Losses(self.directories.bus_store, Installer(per_user=False))

    @property
    def users(self) -> Users:
        """Accounts, with owners where this deployment has them."""
        return Users(self.directories, Installer(per_user=self.per_user), read_rights().alias_uid)

    def forget_first_password(self, name: str) -> None:
        """`stat` must not show a password that is no longer one."""
        path = self.directories.paths.credentials / FIRST_PASSWORD
        try:
            of_this_name = path.read_text(encoding="ascii").split()[:1] == [name]
        except FileNotFoundError:
            return
        if of_this_name:
            path.unlink()
