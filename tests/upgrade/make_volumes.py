"""The volumes of a release, made by that release's own code: accounts, mailboxes, a queue in every state.

    python -m tests.upgrade.make_volumes CHECKOUT RELEASE      (as root)

CHECKOUT is a worktree of the release with its .venv (`make .venv/ready`); what is here starts its `make run`, and
speaks to it as people do: ./qmailctl, SMTP, IMAP, and the queue's own HTTP list. It leaves two files beside this one:
RELEASE.tar.xz, the directory without logs and `run`, and RELEASE.json, what must be found in it by whoever comes next.

Made once a release, and kept; release-1 is commit c019f26.
"""

from __future__ import annotations

import contextlib
import hashlib
import imaplib
import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.deployment import eventually

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
PORTS = {"SMTP_PORT": 31025, "SUBMISSION_PORT": 31587, "POP3_PORT": 31110, "IMAP_PORT": 31143, "HTTP_PORT": 31180}
FAR_PORT = 31099
PASSWORDS = {"ari": "ari-password", "joni": "joni-password", "budi": "budi-password", "siti": "siti-password"}
MANY = 1200
# Ended messages behind a waiting one, so that it is copied to HOLD (more than services/queue/store/floor.py asks for).
ENDED = 300
LEFT_OUT = ("run", "log", "imapcache")


class FarEnd:
    """The other host: takes mail for ok*, and for turn* once `turned`; defers later*, refuses never*."""

    def __init__(self) -> None:
        self.turned = False
        self.taken: list[str] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        """By the first letters of the recipient."""
        if address.startswith("never"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("ok") or (address.startswith("turn") and self.turned):
            envelope.rcpt_tos.append(address)
            return "250 ok"
        return "451 4.3.0 come again later"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Count it."""
        self.taken += envelope.rcpt_tos
        return "250 ok"


def letter(name: str, body: str = "kept\n", **headers: str) -> bytes:
    """A message that can be told from every other."""
    lines = {"Subject": name, "X-Letter": name, **headers}
    head = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in lines.items())
    return f"{head}\n{body}".replace("\n", "\r\n").encode()


class Release:
    """One deployment of the release's code."""

    def __init__(self, checkout: Path, directory: Path) -> None:
        self.checkout, self.directory = checkout, directory
        settings = {"QMAIL_DIR": str(directory), "ME": "mail.xeris.com", "QUEUE_BYTES": str(48 * 1024**2)}
        ours = ("PYTHONPATH", "VIRTUAL_ENV", "IDENTITY")
        self.environ = {name: value for name, value in os.environ.items() if name not in ours}
        self.environ |= settings | {name: str(port) for name, port in PORTS.items()}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return at `ready`."""
        self.process = subprocess.Popen(
            ["make", "run"], cwd=self.checkout, env=self.environ, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "ready\n":
                break
        else:
            raise SystemExit("the release did not become ready")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def qmailctl(self, *argv: str, text: str = "") -> str:
        """The command, which must succeed."""
        done = subprocess.run(
            ["./qmailctl", *argv], cwd=self.checkout, env=self.environ, input=text, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"qmailctl {argv}: {done.stdout}{done.stderr}")
        return str(done.stdout)

    def http(self, path: str) -> dict[str, Any]:
        """What the queue answers."""
        token = (self.directory / "credentials" / "http.token").read_text().strip()
        url = f"http://{HOST}:{PORTS['HTTP_PORT']}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})) as got:
            found: dict[str, Any] = json.load(got)
            return found

    def queued(self) -> list[dict[str, Any]]:
        """The queue's entries, oldest first."""
        found: list[dict[str, Any]] = self.http("/queue?limit=1000")["messages"]
        return found

    def send(self, sender: str, recipients: list[str], message: bytes, options: tuple[str, ...] = ()) -> None:
        """By SMTP."""
        with smtplib.SMTP(HOST, PORTS["SMTP_PORT"], timeout=60) as client:
            client.ehlo()
            client.sendmail(sender, recipients, message, mail_options=options)

    @contextlib.contextmanager
    def imap(self, user: str) -> Iterator[imaplib.IMAP4]:
        """A session."""
        client = imaplib.IMAP4(HOST, PORTS["IMAP_PORT"])
        client.login(user, PASSWORDS[user])
        yield client
        client.logout()

    def write(self, name: str, text: str, owner: int = 0) -> None:
        """A file edited by hand."""
        path = self.directory / name
        path.write_text(text)
        os.chown(path, owner, owner)
        path.chmod(0o600 if owner >= 2001 else 0o644)

    def child(self, program: str) -> int:
        """The process id of `python -m program` below the supervisor."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                ours = f"QMAIL_DIR={self.directory}".encode() in (entry / "environ").read_bytes().split(b"\0")
                if ours and program.encode() in words:
                    return int(entry.name)
        raise SystemExit(f"{program} does not run")


def edit_by_hand(release: Release) -> None:
    """Control files, aliases, rules, a zone: what an administrator and users change."""
    # The far end's port is none of the next test's; queuelifetime, because nobody knows when it runs.
    release.write("control/smtproutes", f"far.test:{HOST}:{FAR_PORT}\n")
    release.write("control/queuelifetime", "3000000000\n")
    release.write("control/locals", "mail.xeris.com\nxeris.com\nlama.xeris.com\n")
    release.write("control/rcpthosts", "mail.xeris.com\nxeris.com\nlama.xeris.com\nvirtual.test\n")
    release.write("control/virtualdomains", "virtual.test:budi-virtual\n")
    release.write("control/badmailfrom", "@spam.test\n")
    release.write("control/concurrencyremote", "40\n")
    release.write("control/databytes", "20000000\n")
    release.write("control/smtpgreeting", "mail.xeris.com selamat datang\n")
    rules = (release.directory / "control" / "tcp.smtp").read_text()
    release.write("control/tcp.smtp", f'192.0.2.:allow,RELAYCLIENT=""\n198.51.100.7:deny\n{rules}')
    release.write("alias/.qmail-info", "joni\n&budi\n", 900)
    release.write("alias/.qmail-null", "# nobody reads this\n", 900)
    release.write("home/joni/.qmail-list", "./Maildir/\n&budi@xeris.com\n", 2002)
    release.write("home/joni/.qmail-fail", "|exit 100\n", 2002)
    release.write("home/joni/.mailfilter", 'to "Maildir/"\n', 2002)
    release.write("home/budi/.qmail-wait", "|exit 111\n", 2003)
    release.write("home/budi/.qmail-virtual-default", "./Maildir/\n", 2003)


def make_zone(release: Release) -> None:
    """The zone that a deployment of containers has, by the release's own code, and one line more."""
    code = (
        "import sys; from pathlib import Path; from services.admin.install import Installer;"
        "from services.admin.setup.zones import make_zones;"
        "make_zones('mail.xeris.com', '127.0.0.1', Path(sys.argv[1]), Installer(per_user=True))"
    )
    zones = release.directory / "named"
    python = release.checkout / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", code, zones], cwd=release.checkout, check=True)
    # The configuration names the directory that it is read from: a container's.
    for path in zones.iterdir():
        path.write_text(path.read_text().replace(str(zones), "/var/named"))
    with open(zones / "xeris.db", "a") as zone:
        zone.write("arsip\tIN A 192.0.2.80\n")


def fill_mailboxes(release: Release) -> None:
    """Flags, keywords, UIDs with a gap, folders, subscriptions; later mail that nobody has looked at."""

    def has_new(messages: int) -> bool:
        return len(list((release.directory / "home/joni/Maildir/new").iterdir())) == messages

    for number in range(1, 9):
        release.send("joe@far.test", ["joni@xeris.com"], letter(f"joni {number}"))
        eventually(partial(has_new, number), "joni's mail")
    with release.imap("joni") as client:
        for folder in ("Arsip", "Arsip.2026", '"Surat &AOk-"'):
            client.create(f"INBOX.{folder}" if '"' not in folder else '"INBOX.Surat &AOk-"')
        for folder in ("INBOX", "INBOX.Arsip", '"INBOX.Surat &AOk-"'):
            client.subscribe(folder)
        client.select("INBOX")
        for uid, flags in {
            "1": r"(\Seen)", "2": r"(\Seen \Answered)", "3": r"(\Flagged $Forwarded)", "4": r"(\Draft Belanja)",
            "6": r"(\Deleted)", "8": r"(\Seen \Flagged Belanja penting)",
        }.items():  # fmt: skip
            client.uid("STORE", uid, "FLAGS", flags)
        client.uid("COPY", "2:4", "INBOX.Arsip")
        client.uid("COPY", "8", '"INBOX.Surat &AOk-"')
        client.uid("STORE", "5", "+FLAGS", r"(\Deleted)")
        client.uid("EXPUNGE", "5")
        date = '"09-Sep-2004 10:11:12 +0700"'
        client.append("INBOX.Arsip.2026", r"(\Seen Belanja)", date, letter("joni appended"))
    for number in range(1, 4):
        release.send("joe@far.test", ["budi@xeris.com"], letter(f"budi {number}"))
    eventually(lambda: len(list((release.directory / "home/budi/Maildir/new").iterdir())) == 3, "budi's mail")


def mailbox(release: Release, user: str) -> dict[str, Any]:
    """What IMAP shows of an account: folder -> UIDVALIDITY, UIDNEXT, messages; and the subscriptions."""
    folders: dict[str, Any] = {}
    with release.imap(user) as client:
        names = [re.findall(rb'"\." (.+)$', line)[0].decode() for line in client.list()[1] if isinstance(line, bytes)]
        for name in names:
            client.select(name, readonly=True)
            status = client.status(name, "(UIDVALIDITY UIDNEXT)")[1][0].decode()
            validity, following = re.findall(r"UIDVALIDITY (\d+)", status)[0], re.findall(r"UIDNEXT (\d+)", status)[0]
            rows = {}
            for row in client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
                if isinstance(row, tuple):
                    flags = re.findall(rb"FLAGS \((.*?)\)", row[0])[0].decode().split()
                    rows[re.findall(rb"UID (\d+)", row[0])[0].decode()] = {
                        "flags": sorted(flag for flag in flags if flag != r"\Recent"),
                        "date": re.findall(rb'INTERNALDATE "(.*?)"', row[0])[0].decode(),
                        "sha256": hashlib.sha256(row[1]).hexdigest(),
                    }
            folders[name] = {"uidvalidity": validity, "uidnext": following, "messages": rows}
        subscribed = sorted(re.findall(rb'"\." (.+)$', line)[0].decode() for line in client.lsub()[1] if line)
    return {"folders": folders, "subscribed": subscribed}


def fill_queue(release: Release, far: FarEnd) -> None:
    """A message in each state that the scheduler knows, but for what must be new at the end."""
    waits = "later@far.test"
    release.send("joe@far.test", [waits], letter("deferred"))
    release.send("joe@far.test", ["joni@xeris.com", "ok1@far.test", waits], letter("half done"))
    release.send("joe@far.test", ["budi-wait@xeris.com"], letter("deferred here"))
    release.send("joe@far.test", ["turn@far.test"], letter("deferred, then delivered"))
    release.send("joe@far.test", [waits, "ok2@far.test"], letter("large", "baris yang panjang sekali\n" * 60_000))
    release.send("later-sender@far.test", ["joni-fail@xeris.com"], letter("bounced"))
    release.send("josé@far.test", [waits], letter("international"), ("SMTPUTF8", "BODY=8BITMIME"))
    verp = ["-f", "joni-list-@xeris.com-@[]", "later-a@far.test", "later-b@far.test"]
    release.qmailctl("sendmail", *verp, text=letter("verp").decode().replace("\r\n", "\n"))
    many = [f"{'ok' if number % 30 == 0 else 'later'}-{number}@far.test" for number in range(MANY)]
    release.qmailctl("sendmail", "-f", "joni@xeris.com", *many, text="Subject: many\nX-Letter: many\n\nkept\n")
    eventually(lambda: len(far.taken) >= 2 + MANY // 30, "the first attempts at the far end")

    def attempted(times: int) -> bool:
        return least_attempts(release) >= times

    for attempts in (1, 2, 3):
        eventually(partial(attempted, attempts), f"{attempts} attempts at everything")
        far.turned = attempts == 3
        release.qmailctl("doqueue")
    eventually(lambda: far.taken.count("turn@far.test") == 1, "the message that turns")
    send_together(release, "together", ["null@xeris.com", waits])
    for number in range(ENDED):
        release.send("joe@far.test", ["null@xeris.com"], letter(f"ended {number}"))
    eventually(lambda: re.search(r"HOLD ([1-9]\d*) records", release.qmailctl("stat")), "copies in HOLD")


def least_attempts(release: Release) -> int:
    """Of the messages that wait."""
    waiting = [entry["attempts"][name] for entry in release.queued() for name in entry["next_attempt"]]
    return min(waiting, default=0)


def send_together(release: Release, name: str, recipients: list[str]) -> None:
    """Sixteen messages that end in the same moment, so that some share a record."""
    barrier = threading.Barrier(16)

    def one(number: int) -> None:
        with smtplib.SMTP(HOST, PORTS["SMTP_PORT"], timeout=60) as client:
            client.ehlo()
            client.mail("joe@far.test")
            client.rcpt(recipients[number % len(recipients)])
            client.docmd("DATA")
            client.send(letter(f"{name} {number}"))
            barrier.wait()
            client.send(b".\r\n")
            assert client.getreply()[0] == 250

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def begin_bounce(release: Release) -> int:
    """A bounce that is decided and not written: its writer stands still. The writer's process id."""
    writer = release.child("services.queue.bounce")
    os.kill(writer, signal.SIGSTOP)
    release.send("budi@xeris.com", ["never@far.test"], letter("bounce under way"))
    eventually(lambda: any(entry["bouncing"] for entry in release.queued()), "a bounce under way")
    (number,) = [entry["id"] for entry in release.queued() if entry["bouncing"]]
    eventually(lambda: '"bounce_id":0' not in state_record(release, number), "the bounce's number")
    return writer


def state_record(release: Release, number: int) -> str:
    """A message's record of STATE, read by the release's own code."""
    code = (
        "import asyncio, os, sys; from qmail.bus.connect import connect; from qmail.control.paths import read_paths\n"
        "async def main():\n"
        "    bus = await connect('admin', read_paths(os.environ), os.environ)\n"
        "    print((await bus.last('STATE', sys.argv[1])).payload.decode())\n"
        "    await bus.close()\n"
        "asyncio.run(main())"
    )
    told = (release.directory / "run" / "deployment").read_text().splitlines()
    environ = {**release.environ, **dict(line.split("=", 1) for line in told)}
    argv: list[str | Path] = [release.checkout / ".venv" / "bin" / "python", "-c", code, f"state.{number}"]
    done = subprocess.run(argv, cwd=release.checkout, env=environ, capture_output=True, text=True, check=True)
    return str(done.stdout)


def leave_new(release: Release) -> None:
    """Accepted, and never tried."""
    release.qmailctl("pause")
    send_together(release, "new", ["joni@xeris.com", "budi@virtual.test", "ok-new@far.test", "joni-list@xeris.com"])
    release.send("joe@far.test", ["ok-large@far.test"], letter("new and large", "satu baris lagi\n" * 60_000))


def to_come() -> dict[str, list[str]]:
    """Letter -> recipients that have not had it when the release ends, and must have it once."""
    waits, new = "later@far.test", ["joni@xeris.com", "budi@virtual.test", "ok-new@far.test", "joni-list@xeris.com"]
    return {
        "deferred": [waits],
        "half done": [waits],
        "deferred here": ["budi-wait@xeris.com"],
        "large": [waits],
        # The bounces of these two.
        "bounced": ["later-sender@far.test"],
        "bounce under way": ["budi@xeris.com"],
        "international": [waits],
        "verp": ["later-a@far.test", "later-b@far.test"],
        "many": [f"later-{number}@far.test" for number in range(MANY) if number % 30],
        **{f"together {number}": [waits] for number in range(1, 16, 2)},
        **{f"new {number}": [new[number % 4]] for number in range(16)},
        "new and large": ["ok-large@far.test"],
    }


def in_short(entry: dict[str, Any]) -> dict[str, Any]:
    """What must still be so: who has it to come, who had it, and how often it was tried."""
    left = sorted(each["address"] for each in entry["recipients"] if not each["done"])
    done = sorted(each["address"] for each in entry["recipients"] if each["done"])
    return {"left": left, "done": done, **{name: entry[name] for name in ("id", "sender", "attempts", "bouncing")}}


def sums(release: Release) -> dict[str, str]:
    """What nobody but a person may change: file -> SHA-256."""
    names = ["control", "alias", "named"]
    files = [path for name in names for path in sorted((release.directory / name).rglob("*")) if path.is_file()]
    files += sorted(path for path in (release.directory / "home").glob("*/.*") if path.is_file())
    files += [release.directory / "tls" / "cert.pem", release.directory / "users" / "uids"]
    return {
        str(path.relative_to(release.directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != ".made"
    }


def pack(release: Release, target: Path) -> None:
    """The directory as a tar with numeric owners; users/assign keeps the homes below `made at`."""

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(member.name).parts
        if parts[:1] and parts[0] in LEFT_OUT and len(parts) > 1 and member.isfile():
            return None
        if parts[:1] == ("run",) or member.name.endswith(".ports"):
            return None
        member.uname = member.gname = ""
        return member

    with tarfile.open(target, "w:xz", preset=9) as tar:
        for path in sorted(release.directory.iterdir()):
            tar.add(path, path.name, filter=wanted)


def main(checkout: Path, name: str) -> None:
    """Make the two files."""
    top = Path("/tmp") / f"qmail-volumes-{name}"
    shutil.rmtree(top, ignore_errors=True)
    directory = top / "var"
    directory.mkdir(parents=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    far = FarEnd()
    controller = Controller(far, hostname=HOST, port=FAR_PORT, enable_SMTPUTF8=True, decode_data=False)
    controller.start()
    release = Release(checkout, directory)
    release.start()
    try:
        release.qmailctl("passwd", "ari", text=f"{PASSWORDS['ari']}\n")
        for user in ("joni", "budi", "siti"):
            release.qmailctl("useradd", user, text=f"{PASSWORDS[user]}\n")
        release.qmailctl("useradd", "lama", text="lama-password\n")
        release.qmailctl("userdel", "lama")
        release.qmailctl("usermod", "-L", "siti")
        edit_by_hand(release)
        make_zone(release)
        release.qmailctl("reload")
        release.qmailctl("stop")
        release.start()
        fill_mailboxes(release)
        fill_queue(release, far)
        mailboxes = {user: mailbox(release, user) for user in ("ari", "joni", "budi")}
        for number in (1, 2):
            release.send("joe@far.test", ["joni@xeris.com"], letter(f"joni unseen {number}"))
        unseen = release.directory / "home/joni/Maildir/new"
        eventually(lambda: any(b"joni unseen 2" in path.read_bytes() for path in unseen.iterdir()), "unseen mail")
        writer = begin_bounce(release)
        leave_new(release)
        eventually(lambda: release.http("/status")["running"] == 0, "no delivery under way")
        found = {
            "release": name,
            "commit": commit.stdout.strip(),
            "made at": str(directory),
            "passwords": PASSWORDS,
            "locked": ["siti"],
            "deleted": ["lama"],
            "users": release.qmailctl("users").replace(str(directory / "home"), "/home").splitlines(),
            "mailboxes": mailboxes,
            "unseen": ["joni unseen 1", "joni unseen 2"],
            "queue": [in_short(entry) for entry in release.queued()],
            "to come": to_come(),
            "taken by the far end": sorted(far.taken),
            "files": sums(release),
        }
        assert release.process is not None
        os.kill(release.child("supervise"), signal.SIGTERM)
        # The queue waits for it.
        eventually(
            lambda: "status: exiting" in (directory / "log" / "qmail" / "current").read_text(), "the queue's end"
        )
        os.kill(writer, signal.SIGKILL)
        release.process.wait()
    finally:
        controller.stop()
        if release.process is not None and release.process.poll() is None:
            release.process.terminate()
            release.process.wait()
    pack(release, HERE / f"{name}.tar.xz")
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in found.items())
    (HERE / f"{name}.json").write_text(f"{{\n{rows}\n}}\n")
    shutil.rmtree(top)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
