"""What an administrator does to a whole deployment: stop, start, restart, logs, another address, backup and restore.

The deployment's name is not the default one, and ME, which counts at first start alone, is not set afterwards.
"""

from __future__ import annotations

import json
import os
import re
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.query
import pytest

from supervise.settings import PORTS
from tests.support.deployment import ROLES, ROOT, SETTINGS, Deployment, deployed
from tests.support.documents import blocks
from tests.support.needs import missing
from tests.support.ports import free_ports

ADDRESS, OTHER_ADDRESS = "127.0.57.1", "127.0.57.2"
SECONDS = 300
OPERATIONS = ROOT / "docs" / "operations.md"
HANDLER = ROOT / "docs" / "smtpd-handler.md"
# Wrong passwords by IMAP, no account twice: only the address that they come from can be slowed for them.
GUESS = """
import imaplib, ssl, sys
from concurrent.futures import ThreadPoolExecutor

def guess(number):
    host, port = sys.argv[1], int(sys.argv[2])
    tls = {"ssl_context": ssl._create_unverified_context()} if port == 993 else {}
    client = (imaplib.IMAP4_SSL if tls else imaplib.IMAP4)(host, port, timeout=60, **tls)
    try:
        client.login(f"nobody{number}", "guess")
    except imaplib.IMAP4.error as error:
        return "AUTHENTICATIONFAILED" in str(error)

first, after = map(int, sys.argv[3:])
sys.exit(not all(ThreadPoolExecutor(4).map(guess, range(first, after))))
"""
# Eleven are enough where they are verified as quickly as usual; a budget fills up meanwhile.
GUESS_UNTIL_SLOWED = """
n=11; python -c "$0" "$1" 993 0 $n
until grep -q "slowed, address: " /var/log/auth/current; do
    python -c "$0" "$1" 993 $n $((n + 1)); n=$((n + 1))
done
"""


@pytest.fixture(scope="module")
def telkom(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("operations")
    with deployed(
        directory, project="test-operations", me="mail.telkom.test", address=ADDRESS, subnet="172.29.67"
    ) as deployment:
        deployment.useradd("budi", "budi-password")
        yield deployment


def settings(deployment: Deployment, address: str = ADDRESS) -> dict[str, str]:
    """A person's environment at a later start."""
    left_out = {"QMAIL_DIR", *PORTS, *SETTINGS}
    known = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**known, "COMPOSE_PROJECT_NAME": deployment.project, "ADDRESS": address, "SUBNET": deployment.subnet}


def type_in(environ: Mapping[str, str], *argv: str) -> str:
    """What the command says, both ways; raises AssertionError with it where it fails."""
    done = subprocess.run(
        argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def qmailctl(deployment: Deployment, *argv: str, address: str = ADDRESS) -> str:
    return type_in(settings(deployment, address), "./qmailctl", *argv)


def greeting(address: str = ADDRESS) -> bytes:
    with smtplib.SMTP(timeout=30) as client:
        return client.connect(address, 25)[1]


def all_are_healthy(deployment: Deployment) -> bool:
    rows = [json.loads(line) for line in deployment.control("ps", "--format", "json").splitlines()]
    return {row["Service"] for row in rows if row["Health"] == "healthy"} == set(ROLES)


def test_stop_and_start(telkom: Deployment) -> None:
    qmailctl(telkom, "stop")
    rows = [json.loads(line) for line in telkom.control("ps", "--all", "--format", "json").splitlines()]
    # Each has heard TERM and ended by itself.
    assert {row["Service"]: row["ExitCode"] for row in rows} == dict.fromkeys(ROLES, 0)
    with pytest.raises(ConnectionRefusedError):
        greeting()
    qmailctl(telkom, "start")
    assert greeting() == b"mail.telkom.test ESMTP"
    assert all_are_healthy(telkom)


def test_restart_returns_when_all_work_again(telkom: Deployment) -> None:
    said = qmailctl(telkom, "restart")
    assert re.search(r"smtpd.*Started", said)
    assert greeting() == b"mail.telkom.test ESMTP"
    assert all_are_healthy(telkom)


def copies(deployment: Deployment, role: str) -> int:
    return len(deployment.control("ps", "--all", "--quiet", role).split())


def test_scaled_copies_stay_when_everything_is_stopped_started_and_restarted(telkom: Deployment) -> None:
    telkom.control("up", "--detach", "--wait", "--scale", "delivery-local=2", "--no-recreate")
    try:
        for orders in (["restart"], ["stop", "start"]):
            for order in orders:
                qmailctl(telkom, order)
            assert copies(telkom, "delivery-local") == 2, orders
        # Each copy has a line of its own.
        said = qmailctl(telkom, "stat")
        assert len(re.findall(r"^delivery-local: up \S+, process \d+ of [0-9a-f]+$", said, re.MULTILINE)) == 2, said
        assert re.search(r"^dns: up$", said, re.MULTILINE) and re.search(r"^bus: up \S+$", said, re.MULTILINE)
    finally:
        telkom.control("up", "--detach", "--wait", "--scale", "delivery-local=1", "--no-recreate")
    assert copies(telkom, "delivery-local") == 1


def test_su_makes_the_administrator_an_account(telkom: Deployment) -> None:
    assert telkom.run("admin", "su", "budi", "-c", "id -un; echo $HOME") == "budi\n/home/budi\n"


def test_no_command_of_admin_runs_a_file_of_an_account_s_home(telkom: Deployment) -> None:
    hostile = 'for name in json qmail services asyncio nats; do echo \'open("/tmp/ran", "w")\' >$name.py; done'
    telkom.run("admin", "sh", "-c", f"cd /home/budi && {hostile}")
    try:
        for command in (
            "qmailctl stat",
            "qmail-qstat",
            "mailq",
            "echo to: budi | qmail-inject",
            "python -m json.tool -h",
        ):
            telkom.run("admin", "sh", "-c", f"cd /home/budi && {command} && test ! -e /tmp/ran")
    finally:
        telkom.run("admin", "sh", "-c", "rm -f /home/budi/*.py /tmp/ran")


def test_logs_are_what_the_containers_said(telkom: Deployment) -> None:
    telkom.send("joe@example.org", ["budi@telkom.test"], "Subject: in the log\n\nhello\n")
    telkom.message_with("budi", "budi-password", b"Subject: in the log")
    assert re.search(r"queue-1 +\| .*delivery \d+: success: ", qmailctl(telkom, "logs"))
    assert "queue-1" not in qmailctl(telkom, "logs", "--tail", "5", "smtpd")


def test_another_address_is_published_and_is_what_the_zone_says(telkom: Deployment) -> None:
    def says(name: str, kind: str) -> list[str]:
        answer = dns.query.udp(dns.message.make_query(name, kind), OTHER_ADDRESS, timeout=10)
        return [str(rr) for rrset in answer.answer for rr in rrset]

    qmailctl(telkom, "start", address=OTHER_ADDRESS)
    assert greeting(OTHER_ADDRESS) == b"mail.telkom.test ESMTP"
    assert says("mail.telkom.test", "A") == [OTHER_ADDRESS]
    assert says("2.57.0.127.in-addr.arpa", "PTR") == ["mail.telkom.test."]
    assert says("telkom.test", "SOA")[0].split()[2] == "43"
    assert telkom.run("admin", "cat", "/var/qmail/control/localips") == f"127.0.0.1\n{OTHER_ADDRESS}\n"
    telkom.run("admin", "sh", "-c", "echo '; mine' >>/var/named/telkom.db")
    assert "edited" not in qmailctl(telkom, "stat", address=OTHER_ADDRESS)

    qmailctl(telkom, "start")
    assert f"ADDRESS is {ADDRESS}; files that were edited, and still say another: /var/named/telkom.db\n" in qmailctl(
        telkom, "stat"
    )
    telkom.run("admin", "sed", "-i", f"s/{OTHER_ADDRESS}/{ADDRESS}/; s/43 /44 /", "/var/named/telkom.db")
    assert "edited" not in qmailctl(telkom, "stat")


def test_a_backup_is_restored_as_the_page_says(telkom: Deployment, tmp_path: Path) -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    section = text[text.index("## Backup") : text.index("## Upgrade")]
    found = [block.text for block in blocks(OPERATIONS) if block.text in section]
    backup, restore = (re.sub(r"^\$ ", "", one, flags=re.MULTILINE).replace("$PWD", str(tmp_path)) for one in found)
    telkom.send("joe@example.org", ["budi@telkom.test"], "Subject: saved\n\nhello\n")
    telkom.message_with("budi", "budi-password", b"Subject: saved")
    owners = telkom.run("admin", "find", "/home", "/var/qmail", "-printf", "%p %U:%G %m\n")
    environ = settings(telkom)
    type_in(environ, "sh", "-eu", "-c", backup)
    type_in(environ, "docker", "compose", "down", "--volumes")
    type_in(environ, "sh", "-eu", "-c", restore)
    telkom.message_with("budi", "budi-password", b"Subject: saved")
    restored = telkom.run("admin", "find", "/home", "/var/qmail", "-printf", "%p %U:%G %m\n")
    # pop3 shows a new message and leaves it where it is.
    assert sorted(restored.splitlines()) == sorted(owners.splitlines())
    assert all_are_healthy(telkom)


@pytest.fixture(scope="module")
def settled(telkom: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """On a host whose port 53 is taken, with IPv6 and a handler, as the pages say; the ports on ::1 by their names.

    In one start for all of them, and the last in this module: the deployment stays as it is."""
    directory = tmp_path_factory.mktemp("settled")
    smtp, imap = free_ports(2)
    override = (*_overrides(OPERATIONS, "[2001:db8::1]:25:25"), *_overrides(HANDLER, "./plugins"))
    files = ["compose.yaml"]
    for number, text in enumerate(override):
        files.append(str(directory / f"{number}.yaml"))
        Path(files[-1]).write_text(
            text.replace("2001:db8::1]:25", f"::1]:{smtp}").replace("./plugins", f"{directory}/plugins")
        )
    package = directory / "plugins" / "acme"
    package.mkdir(parents=True)
    package.parent.chmod(0o755)
    (package / "filter.py").write_text(_source(HANDLER))
    telkom.run("admin", "tee", "/var/qmail/control/smtpdhandler", stdin="acme.filter:Filter\n")
    telkom.control("stop", "dns")
    with ExitStack() as held:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            taken = held.enter_context(socket.socket(socket.AF_INET, kind))
            taken.bind((ADDRESS, 53))
        environ = settings(telkom) | {
            "COMPOSE_FILE": ":".join(files),
            "DNS": "unpublished",
            "IMAP_PUBLISH": f"[::1]:{imap}",
        }
        type_in(environ, "./qmailctl", "start")
        yield {"smtp": smtp, "imap": imap}


def _overrides(page: Path, words: str) -> list[str]:
    """The page's compose.override.yaml that has these words."""
    found = [part.partition("```")[0] for part in page.read_text(encoding="utf-8").split("```yaml\n")[1:]]
    return [text for text in found if words in text]


def _source(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]


def test_mail_works_where_something_else_has_port_53(telkom: Deployment, settled: dict[str, int]) -> None:
    assert all_are_healthy(telkom)
    assert telkom.run("admin", "dig", "+short", f"@{telkom.subnet}.70", "telkom.test", "MX") == "50 mail.telkom.test.\n"
    telkom.send("joe@example.org", ["budi@telkom.test"], "Subject: without 53\n\nhello\n")
    telkom.message_with("budi", "budi-password", b"Subject: without 53")
    # What the world has to be told by somebody else.
    assert ADDRESS in telkom.run("admin", "cat", "/var/named/telkom.db")


@pytest.fixture
def ipv6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError as error:
            missing(f"IPv6 on this host: {error}")


def test_a_door_published_by_ipv6_takes_mail(telkom: Deployment, settled: dict[str, int], ipv6: None) -> None:
    with smtplib.SMTP("::1", settled["smtp"], timeout=60) as client:
        client.sendmail("joe@example.org", ["budi@telkom.test"], "Subject: by six\n\nhello\n")
    received = telkom.message_with("budi", "budi-password", b"Subject: by six")
    # The engine's own address, as the page says.
    assert f"({telkom.subnet}.1)".encode() in received


def test_the_address_that_all_ipv6_clients_share_is_not_slowed(
    telkom: Deployment, settled: dict[str, int], ipv6: None
) -> None:
    type_in(os.environ, sys.executable, "-c", GUESS, "::1", str(settled["imap"]), "100", "111")
    # Any other address is slowed by as many: admin comes by its own, to the door in the network edge.
    addresses = telkom.run("imap", "hostname", "-I").split()
    (door,) = [one for one in addresses if int(one.rpartition(".")[2]) < 64]
    telkom.run("admin", "sh", "-c", GUESS_UNTIL_SLOWED, GUESS, door)
    lines = telkom.run("admin", "cat", "/var/log/auth/current")
    slowed = set(re.findall(r"refused login (\S+): imap nobody\d+: slowed, address: ", lines))
    assert len(slowed) == 1 and f"{telkom.subnet}.1" not in slowed


def test_a_handler_from_the_mounted_directory_filters(telkom: Deployment, settled: dict[str, int]) -> None:
    with smtplib.SMTP(telkom.address, 25, timeout=60) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="we know you"):
            client.sendmail("a@spam.example", ["budi@telkom.test"], "Subject: x\n\nx\n")
        with pytest.raises(smtplib.SMTPDataError, match="no lotteries here"):
            client.sendmail("a@far.org", ["budi@telkom.test"], "Subject: lottery\n\nx\n")
    telkom.send("a@far.org", ["budi@telkom.test"], "Subject: unfiltered\n\nx\n")
    telkom.message_with("budi", "budi-password", b"Subject: unfiltered")
