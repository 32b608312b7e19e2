"""First start: make a deployment from nothing, or find that all is there and change nothing.

What a newer release has written is left alone (services/admin/setup/release.py).

Every step looks before it acts and leaves either the old or the new, so a start that was broken off is finished by
the next. What an administrator may change (control files, aliases, rules, accounts, certificate) is made once; what
says ADDRESS (zones, localips) follows it until it is edited; what follows from the program (rights, owners, modes) is
repaired each time.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from qmail.control.files import Control, ControlError
from qmail.control.settings import read_address
from qmail.control.table import ME
from services.admin.accounts.users import Users
from services.admin.directories import Directories, read_directories
from services.admin.install import Installer, is_per_user
from services.admin.rights import Rights, read_rights
from services.admin.setup import config_fast
from services.admin.setup.bus_rights import make_credentials
from services.admin.setup.certificate import make_certificate
from services.admin.setup.generated_files import GeneratedFiles, Origin
from services.admin.setup.release import check_release, mark_release
from services.admin.setup.skeleton import make_skeleton
from services.admin.setup.zones import make_zones, own_domains

DEFAULT_ME = "mail.xeris.com"
DEFAULT_ADMIN_USER = "ari"
FIRST_PASSWORD = "first-password"
HTTP_TOKEN = "http.token"
LOCALIPS = "localips"
MAX_QUEUE_BYTES = 20 * 1024**3
# A stream of the queue takes no new message where less than 1 MB is left of its share (qmail.queue.put).
MIN_QUEUE_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; all but `address` is used only where nothing is there yet."""

    me: str
    address: str
    admin_user: str
    queue_bytes: int | None
    per_user: bool

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Raises ValueError or SettingsError with the name, the value and what was expected."""
        per_user = is_per_user(environ, os.geteuid())
        size = environ.get("QUEUE_BYTES")
        if size and not (size.isdecimal() and int(size) >= MIN_QUEUE_BYTES):
            raise ValueError(f"QUEUE_BYTES is {size!r}; expected a number of bytes, {MIN_QUEUE_BYTES} or more")
        return cls(
            me=config_fast.parse_host(environ.get("ME") or DEFAULT_ME),
            address=read_address(environ),
            admin_user=environ.get("ADMIN_USER") or DEFAULT_ADMIN_USER,
            queue_bytes=int(size) if size else None,
            per_user=per_user,
        )


def first_start(environ: Mapping[str, str]) -> None:
    """Make what is missing. Raises ValueError or SettingsError for a bad setting or file, or a newer release's
    deployment, OSError."""
    settings, directories, rights = Settings.read(environ), read_directories(environ), read_rights()
    check_release(directories.paths.control)
    installer = Installer(per_user=settings.per_user)
    _directories(directories, rights, installer)
    _release(directories, installer)
    _control(settings, directories, installer)
    _zones(settings, directories, installer)
    _certificate(directories, rights, installer)
    make_credentials(rights, directories.credentials_of, installer)
    _http_token(directories, rights, installer)
    _accounts(settings, directories, rights, installer)


def _directories(directories: Directories, rights: Rights, installer: Installer) -> None:
    paths, alias = directories.paths, rights.alias_uid
    bus, imap, log = (rights.roles[name] for name in ("bus", "imap", "log"))
    for path in (paths.control, paths.users, paths.home, paths.tls):
        installer.directory(path, 0o755)
    for role in rights.owners:
        installer.directory(directories.credentials_of(role), 0o755)
    make_skeleton(directories, installer)
    installer.directory(paths.auth, 0o700)
    installer.directory(paths.alias, 0o755, alias, alias)
    installer.directory(directories.bus_store, 0o700, bus.uid, bus.gid)
    # Each account makes a directory of its own in it.
    installer.directory(paths.imapcache, 0o1733, imap.uid, imap.gid)
    # What lies in it was uid 0's before there was a role for it.
    installer.tree(paths.log, 0o755, log.uid, log.gid)


def _release(directories: Directories, installer: Installer) -> None:
    """Before anything that an older release would not understand."""
    if word := mark_release(directories.paths.control, installer):
        print(f"admin: {word}", file=sys.stderr, flush=True)
    for directory in (directories.paths.control, directories.zones):
        GeneratedFiles(directory).keep_first_release_out(installer)


def _control(settings: Settings, directories: Directories, installer: Installer) -> None:
    paths, origin = directories.paths, Origin(settings.address, settings.me)
    generated = GeneratedFiles(paths.control)
    localips = {LOCALIPS: config_fast.render_localips(settings.address)}
    generated.renew(localips, origin, installer)
    if (paths.control / "me").exists():
        return
    size = settings.queue_bytes or _half_of_free(directories)
    for name, text in config_fast.render_aliases(settings.admin_user).items():
        installer.file_once(paths.alias / name, text.encode(), 0o644)
    rules = config_fast.render_tcp_smtp(loopback_only=directories.below_qmail_dir)
    installer.file_once(paths.tcp_smtp, rules.encode(), 0o644)
    generated.make(localips, origin, installer)
    for name, text in config_fast.render_control(settings.me, size).items():
        installer.file_once(paths.control / name, text.encode(), 0o644)


def _zones(settings: Settings, directories: Directories, installer: Installer) -> None:
    # Only a deployment of containers has a name server of its own.
    if not directories.below_qmail_dir:
        names = own_domains(Control(directories.paths.control))
        make_zones(_own_name(directories), settings.address, directories.zones, installer, names)


def _own_name(directories: Directories) -> str:
    """This mail server's name: ME counts at first start alone. Raises ValueError."""
    try:
        return Control(directories.paths.control).get(ME).decode("ascii")
    except ControlError as error:
        raise ValueError(str(error)) from error


def _half_of_free(directories: Directories) -> int:
    """Half of what the bus's file system has left: the queue never takes the whole disk."""
    found = os.statvfs(directories.bus_store)
    return min(MAX_QUEUE_BYTES, found.f_bavail * found.f_frsize // 2)


def _certificate(directories: Directories, rights: Rights, installer: Installer) -> None:
    tls, doors = directories.paths.tls, rights.roles["smtpd"].gid
    certificate, key = tls / "cert.pem", tls / "key.pem"
    if not certificate.exists():
        made, private = make_certificate(_own_name(directories), datetime.now(UTC))
        # The key first: a certificate says that its key is there.
        installer.file(key, private, 0o440, 0, doors)
        installer.file(certificate, made, 0o644)
    # An administrator's own pair may be links into another program's directory, which looks after its modes.
    for path, mode, gid in ((key, 0o440, doors), (certificate, 0o644, 0)):
        if not path.is_symlink():
            installer.settle(path, mode, 0, gid)


def _http_token(directories: Directories, rights: Rights, installer: Installer) -> None:
    queue, path = rights.roles["queue"], directories.credentials_of("queue") / HTTP_TOKEN
    installer.file_once(path, f"{secrets.token_urlsafe(32)}\n".encode(), 0o400, queue.uid, queue.gid)
    installer.settle(path, 0o400, queue.uid, queue.gid)


def _accounts(settings: Settings, directories: Directories, rights: Rights, installer: Installer) -> None:
    users = Users(directories, installer, rights.alias_uid)
    if users.founded:
        if relocation := users.refresh():
            print(f"admin: {relocation}", file=sys.stderr, flush=True)
        return
    password = secrets.token_urlsafe(12)
    admin_uid = rights.roles["admin"].credential_uid
    # Shown once by `qmailctl stat`; written before the account, so that no account has an unknown password.
    line = f"{settings.admin_user} {password}\n".encode()
    installer.file(directories.credentials_of("admin") / FIRST_PASSWORD, line, 0o400, admin_uid, admin_uid)
    users.add(settings.admin_user, password)
