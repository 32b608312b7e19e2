"""A Dovecot of its own beside any other: its own directories, IMAP and POP3 on loopback, Maildirs (2.3's settings)."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from tests.support.ports import free_ports

DOVECOT = "/usr/sbin/dovecot"
MAIL_UID = 2002

_CONF = """\
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
namespace inbox {{
  inbox = yes
  separator = .
  prefix = INBOX.
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={base}/home/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


class Dovecot:
    """One instance below `base`; every account has the same password."""

    def __init__(self, base: Path, password: str) -> None:
        self.base, self._password = base, password
        self.imap_port, self.pop3_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    def maildir(self, name: str) -> Path:
        """Of an account."""
        return self.base / "home" / name / "Maildir"

    @property
    def pid(self) -> int:
        """The process whose descendants are this Dovecot."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Configure and start."""
        for name in ("run", "state", "home"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        os.chown(self.base / "home", MAIL_UID, MAIL_UID)
        os.chmod(self.base, 0o755)
        text = _CONF.format(
            base=self.base, password=self._password, uid=MAIL_UID, imap=self.imap_port, pop3=self.pop3_port
        )
        (self.base / "dovecot.conf").write_text(text)
        self._process = subprocess.Popen([DOVECOT, "-F", "-c", str(self.base / "dovecot.conf")])

    def stop(self) -> None:
        """End it; quiet when it does not run."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process = None
