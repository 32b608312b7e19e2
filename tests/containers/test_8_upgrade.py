"""The volumes of each release before this one come up by `docker compose up`, and nothing is lost or done twice."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, deployed, eventually
from tests.upgrade import counted
from tests.upgrade.far_end import far_end
from tests.upgrade.make_volumes import in_short
from tests.upgrade.volumes import PLACES, RELEASES, for_containers, manifest

PROJECT, ADDRESS, SUBNET = "test-upgrade", "127.0.59.1", "172.29.69"
# This follows ADDRESS, which is another one than where the volumes were made.
FOLLOWS_ADDRESS = {"control/localips"}
ASK = (
    "import json, os; from services.admin.directories import read_directories;"
    "from services.admin.commands.queue_client import QueueClient;"
    "directories = read_directories(os.environ);"
    "print(json.dumps(QueueClient.find(os.environ, directories.credentials_of('queue')).messages()))"
)


class Containers:
    """A deployment under compose."""

    host, imap_port, pop3_port = ADDRESS, 143, 110

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def read(self, name: str) -> bytes:
        # base64, since a file may be of any bytes and a command's output here is text.
        said = self.deployment.run("admin", "base64", path(name))
        return base64.b64decode(said)

    def write(self, name: str, text: str) -> None:
        command = 'cat >"$0"' if text else 'rm -f "$0"'
        self.deployment.run("admin", "sh", "-c", command, path(name), stdin=text)

    def queue(self) -> list[dict[str, Any]]:
        return [in_short(entry) for entry in json.loads(self.deployment.run("admin", "python", "-P", "-c", ASK))]

    def users(self) -> list[str]:
        return self.deployment.run("admin", "qmailctl", "users").splitlines()

    def restart_queue(self) -> None:
        self.deployment.control("restart", "queue")
        eventually(lambda: self.deployment.try_run("admin", "qmailctl", "doqueue").returncode == 0, "the queue")


def path(name: str) -> str:
    """Where admin has what `make run` has below QMAIL_DIR."""
    top, _, rest = name.partition("/")
    return f"/{PLACES[top]}/{rest}"


def fill(deployment: Deployment, release: str, left: dict[str, Any]) -> None:
    """The volumes as the release left them, but that nothing is tried before it was counted."""
    tar = for_containers(release)
    left["held back"] = {name: read_member(tar, path(name)) for name in counted.HELD_BACK}
    admin = deployment.control("ps", "--all", "--quiet", "admin").strip()
    edits = " && ".join(f"echo {text.strip()} >{path(name)}" for name, text in counted.HELD_BACK.items())
    log = path(counted.LOG)
    edits += f" && mkdir -p {Path(log).parent} && echo {counted.OLD_LINE.strip()} >{log}"
    command = f"tar -C / --numeric-owner -xpf - && {edits}"
    argv = ["docker", "run", "--rm", "-i", "--volumes-from", admin, "debian:trixie-slim", "sh", "-c", command]
    subprocess.run(argv, input=tar, check=True, capture_output=True, timeout=180)


def read_member(tar: bytes, place: str) -> str:
    """A file of the tar, empty where it is not there."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        found = next((member for member in opened if f"/{member.name}" == place), None)
        file = opened.extractfile(found) if found is not None else None
        return file.read().decode() if file is not None else ""


# This machine's address in the network `out`: the first of it, as the engine gives out gateways.
GATEWAY = f"{SUBNET}.129"


@pytest.mark.parametrize("release", RELEASES)
def test_the_volumes_of_an_older_release_come_up_whole(engine: None, tmp_path: Path, release: str) -> None:
    left = manifest(release)
    settings = {"project": PROJECT, "me": "mail.xeris.com", "address": ADDRESS, "subnet": SUBNET}
    with deployed(tmp_path, **settings, prepare=lambda deployment: fill(deployment, release, left)) as deployment:
        place = Containers(deployment)
        assert f"was {release.replace('-', ' ')}'s; it is release" in deployment.logs("admin")
        counted.accounts_are_all_there(place, left)
        counted.mailboxes_are_whole(place, left, exactly=True)
        counted.files_are_untouched(place, left, {*counted.HELD_BACK, *FOLLOWS_ADDRESS})
        counted.queue_is_whole(place, left)
        with far_end(GATEWAY) as far:
            counted.everything_is_delivered_once(place, left, far, f"far.test:{GATEWAY}:{far.port}\n")
        counted.mailboxes_are_whole(place, left, exactly=False)
        counted.files_are_untouched(place, left, {counted.ROUTES, counted.WAITING, *FOLLOWS_ADDRESS})
        counted.the_log_is_written_on(place)
