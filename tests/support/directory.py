"""Real servers that know people's passwords, a directory each below a test's own: slapd and PostgreSQL of Debian."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ldap3
import psycopg

from tests.support.deployment import eventually
from tests.support.needs import missing
from tests.support.ports import free_port

SECRET = "cn-pass"
#: `jonipass` as slappasswd and libcrypt have it.
SSHA = "{SSHA}32/4u6SSbLEKyVfpsa3QHDlJc+ZksRIM"
MD5_CRYPT = "$1$xeris$RmWx82kjRGgGMNjUH27Vm1"
_BASE = "dc=xeris,dc=com"
_CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {place}/slapd.pid
database mdb
maxsize 16777216
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw {secret}
directory {place}
access to attrs=userPassword by anonymous auth by * none
access to * by dn="cn=reader,{base}" read by * none
"""


@dataclass
class Server:
    """One that runs on 127.0.0.1; `stop` and `start` as often as wanted."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers, f"{self.command[0]} answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            self.process.wait(60)
            self.process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


def _program(name: str, *places: str) -> str:
    found = [str(path) for place in places for path in sorted(Path("/").glob(place)) if path.exists()]
    return shutil.which(name) or (found[-1] if found else missing(f"{name}, of the Debian packages in .ci/packages"))


@contextmanager
def slapd(place: Path) -> Iterator[Server]:
    """People of dc=xeris,dc=com: joni, and two of one name; cn=reader may look for them."""
    program = _program("slapd", "usr/sbin/slapd")
    place.mkdir()
    config = place / "slapd.conf"
    config.write_text(_CONFIG.format(place=place, base=_BASE, secret=SECRET))
    port = free_port()
    server = Server([program, "-d", "0", "-f", str(config), "-h", f"ldap://127.0.0.1:{port}"], port)
    server.start()
    try:
        _fill(port)
        yield server
    finally:
        server.stop()


def _fill(port: int) -> None:
    far = ldap3.Connection(ldap3.Server(f"ldap://127.0.0.1:{port}"), f"cn=admin,{_BASE}", SECRET, auto_bind=True)
    far.add(_BASE, ["dcObject", "organization"], {"o": "xeris"})
    person = ["inetOrgPerson"]
    far.add(f"cn=reader,{_BASE}", person, {"sn": "reader", "userPassword": SECRET})
    for cn, uid in (("joni", "joni"), ("diva one", "diva"), ("diva two", "diva")):
        far.add(f"cn={cn},{_BASE}", person, {"sn": cn, "uid": uid, "userPassword": SSHA})
    assert far.result["result"] == 0, far.result
    far.unbind()


@contextmanager
def postgresql(place: Path) -> Iterator[Server]:
    """A database `mail` with a table `accounts`: joni and the inactive sarah; the role `auth` may read it."""
    initdb = _program("initdb", "usr/lib/postgresql/*/bin/initdb")
    place.mkdir()
    (place / "secret").write_text(SECRET)
    as_user = _as_nobody(place)
    data, port = place / "data", free_port()
    setup = [initdb, "-D", str(data), "-N", "-U", "auth", "-A", "scram-sha-256", f"--pwfile={place / 'secret'}"]
    subprocess.run([*as_user, *setup], check=True, capture_output=True, cwd=place)
    binary = str(Path(initdb).with_name("postgres"))
    options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-k", str(place), "-p", str(port)]
    server = Server([*as_user, binary, "-D", str(data), *options], port)
    server.start()
    try:
        eventually(lambda: _made(port), "the table is made")
        yield server
    finally:
        server.stop()


def _as_nobody(place: Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    nobody = pwd.getpwnam("nobody")
    for path in (place, place / "secret"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    for above in place.parents:
        if above.stat().st_uid == 0 and str(above).startswith(("/tmp/", "/root/")):
            above.chmod(above.stat().st_mode | 0o011)
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]


def _made(port: int) -> bool:
    target = f"host=127.0.0.1 port={port} user=auth password={SECRET} dbname=postgres"
    try:
        with psycopg.connect(target, autocommit=True) as far:
            far.execute("CREATE DATABASE mail")
    except psycopg.OperationalError:
        return False
    with psycopg.connect(target.replace("postgres", "mail"), autocommit=True) as far:
        far.execute("CREATE TABLE accounts (id text, crypt text, active boolean)")
        rows = [("joni", MD5_CRYPT, True), ("sarah", MD5_CRYPT, False), ("diva", "!", True), ("budi", None, True)]
        for row in rows:
            far.execute("INSERT INTO accounts VALUES (%s, %s, %s)", row)
    return True
