"""A mail domain added or removed: control files in the order in which no mail is lost, the zone, the certificate.

Why each step is safe alone: a domain that is delivered here and not yet in rcpthosts is refused to strangers, and one
that is in rcpthosts alone would be sent on to its MX, which is this host. So rcpthosts is the last to take a domain and
the first to lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from qmail.control.files import Control
from qmail.control.table import LOCALS, ME, RCPTHOSTS, VIRTUALDOMAINS
from services.admin.directories import Directories
from services.admin.install import Installer
from services.admin.setup.certificate import rename_certificate
from services.admin.setup.control_lines import add_line, remove_lines
from services.admin.setup.zones import own_domains, refresh_zones


class DomainError(Exception):
    """The domain cannot be added or removed; the text says why."""


class Domains:
    """The mail domains of one deployment. Its methods yield what an administrator has to know, step by step, and raise
    DomainError, OSError, and ControlError for files that cannot be read."""

    def __init__(self, directories: Directories, installer: Installer) -> None:
        self._directories = directories
        self._installer = installer
        self._path = directories.paths.control
        self._control = Control(self._path)

    def add(self, name: str, owner: str, reload: Callable[[], None]) -> Iterator[str]:
        """owner: the account that a virtual domain belongs to; empty where its users are this host's."""
        me = self._control.get(ME).decode("ascii")
        own, virtual = self._control.get(LOCALS), self._control.get(VIRTUALDOMAINS)
        if name.encode() in (virtual if not owner else own or frozenset({me.encode()})):
            other = VIRTUALDOMAINS if not owner else LOCALS
            raise DomainError(f"{name} is in control/{other.name} already; qmailctl domain remove {name} first")
        if owner:
            remove_lines(self._path / VIRTUALDOMAINS.name, name, self._installer)
            changed = add_line(self._path / VIRTUALDOMAINS.name, f"{name}:{owner}", self._installer)
            yield f"{name}: mail goes to {owner}: control/virtualdomains"
        else:
            changed = add_line(self._path / LOCALS.name, name, self._installer, instead=(me,))
            yield f"{name}: mail is delivered here, to the same users: control/locals"
        if changed:
            reload()
        # Without the file, locals and virtualdomains are what strangers may send to.
        if self._control.own(RCPTHOSTS) is not None and add_line(self._path / RCPTHOSTS.name, name, self._installer):
            yield f"{name}: strangers may send to it: control/rcpthosts"
        yield from self._beside(me)

    def remove(self, name: str, reload: Callable[[], None]) -> Iterator[str]:
        """Mail for it that waits is sent to its MX."""
        me = self._control.get(ME).decode("ascii")
        if name == me.lower():
            raise DomainError(f"{name} is this host's own name (control/me)")
        found = [
            row.name
            for row in (RCPTHOSTS, LOCALS, VIRTUALDOMAINS)
            if remove_lines(self._path / row.name, name, self._installer)
        ]
        if not found:
            raise DomainError(f"{name} is in none of control/rcpthosts, locals and virtualdomains")
        reload()
        yield f"{name}: taken out of {', '.join(f'control/{each}' for each in found)}; its mailboxes stay"
        yield from self._beside(me)

    def rename(self, host: str, domain: str, plus: str, reload: Callable[[], None]) -> Iterator[str]:
        """Another name for this host, as config-fast gives it; what the old names received is received still."""
        old = self._control.get(ME).decode("ascii")
        for name in dict.fromkeys((host, domain)):
            add_line(self._path / LOCALS.name, name, self._installer, instead=(old,))
            if self._control.own(RCPTHOSTS) is not None:
                add_line(self._path / RCPTHOSTS.name, name, self._installer)
        for file, text in (("defaultdomain", domain), ("plusdomain", plus), (ME.name, host)):
            self._installer.file(self._path / file, f"{text}\n".encode(), 0o644)
        reload()
        yield f"Your fully qualified host name is {host}."
        yield f"{host} and {domain} are in control/locals and control/rcpthosts; {old} and its domain stay there."
        yield from self._beside(host)
        yield f"Say ME={host} to compose, and start every role again: ./qmailctl restart"

    def _beside(self, me: str) -> Iterator[str]:
        names = own_domains(Control(self._path))
        if not self._directories.below_qmail_dir:
            yield from refresh_zones(me, names, self._directories.zones, self._installer)
        yield rename_certificate(self._directories.paths.tls, me, names, datetime.now(UTC), self._installer)
