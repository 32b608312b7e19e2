"""A Postfix of its own beside any other: its own directories, one port on loopback, Maildirs by virtual(8)."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

POSTFIX = "/usr/sbin/postfix"
MAIL_UID = 2002

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = no
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}
myhostname = mail.xeris.com
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = xeris.com
virtual_mailbox_base = {base}/home
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_mailbox_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
recipient_delimiter = -
smtpd_recipient_limit = 5000
alias_maps =
alias_database =
{more}"""

_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n -  0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -  - trivial-rewrite
bounce    unix  - - n -  0 bounce
defer     unix  - - n -  0 bounce
trace     unix  - - n -  0 bounce
verify    unix  - - n -  1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -  - proxymap
smtp      unix  - - n -  {smtps} smtp
scache    unix  - - n -  1 scache
showq     unix  n - n -  - showq
error     unix  - - n -  - error
retry     unix  - - n -  - error
discard   unix  - - n -  - discard
local     unix  - n n -  - local
virtual   unix  - n n -  - virtual
anvil     unix  - - n -  1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance below `base`; start, stop, and what it needs to be measured.

    `more`: lines of main.cf; `smtps`: how many messages go out to other hosts at a time."""

    def __init__(self, base: Path, port: int, names: Sequence[str], *, more: str = "", smtps: int = 100) -> None:
        self.base, self.port, self._names, self._more, self._smtps = base, port, names, more, smtps

    def maildir(self, name: str) -> Path:
        """Of a mailbox."""
        return self.base / "home" / name / "Maildir"

    def start(self) -> None:
        """Configure and start. Raises CalledProcessError with Postfix's own words on its standard error."""
        for name in ("conf", "queue", "data", "log", "home"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        homes = [self.maildir(name).parent for name in self._names]
        for directory in (*homes, self.base / "home"):
            directory.mkdir(exist_ok=True)
            os.chown(directory, MAIL_UID, MAIL_UID)
        owner = pwd.getpwnam("postfix").pw_uid
        os.chown(self.base / "data", owner, grp.getgrnam("postfix").gr_gid)
        os.chmod(self.base, 0o755)
        conf = self.base / "conf"
        mailboxes = " ".join(f"{{{name}@xeris.com = {name}/Maildir/}}" for name in self._names)
        (conf / "main.cf").write_text(
            _MAIN_CF.format(base=self.base, uid=MAIL_UID, mailboxes=mailboxes, more=self._more)
        )
        (conf / "master.cf").write_text(_MASTER_CF.format(port=self.port, smtps=self._smtps))
        for name in ("postfix-files", "postfix-script", "dynamicmaps.cf"):
            if Path("/etc/postfix", name).exists():
                shutil.copy(Path("/etc/postfix", name), conf / name)
        subprocess.run([POSTFIX, "-c", str(conf), "start"], check=True, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """Stop it; quiet when it does not run."""
        subprocess.run(
            [POSTFIX, "-c", str(self.base / "conf"), "stop"],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def master_pid(self) -> int:
        """The process whose descendants are this Postfix."""
        return int((self.base / "queue" / "pid" / "master.pid").read_text())
