"""Guessed passwords in a whole deployment: the right one is right, qmailctl says who waits, auth remembers."""

from __future__ import annotations

import asyncio
import signal
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmail.accounts.assign import Account
from qmail.bus.connect import connect
from qmail.control.paths import read_paths
from services.auth.known import KnownNetworks
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run

ARI = Account(b"ari", 2001, 2001, Path("/home/ari"))


@pytest.fixture(scope="module")
def deployment() -> Iterator[MailRun]:
    with mail_run() as made:
        made.start()
        made.useradd("joni")
        yield made


def answer(made: MailRun, password: str, address: str) -> int:
    """The code to one AUTH on the submission port, from an address of this machine's loopback."""
    with smtplib.SMTP(
        "127.0.0.1", made.run.ports["SUBMISSION_PORT"], timeout=90, source_address=(address, 0)
    ) as client:
        client.ehlo()
        client.user, client.password = "joni", password
        try:
            return client.auth("PLAIN", client.auth_plain)[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


def test_the_right_password_after_five_wrong_ones_is_never_our_fault(deployment: MailRun) -> None:
    assert [answer(deployment, f"guess{n}", "127.0.0.9") for n in range(5)] == [535] * 5
    assert answer(deployment, "jonipass", "127.0.0.9") == 235


def test_qmailctl_says_who_is_slowed_and_lifts_it(deployment: MailRun) -> None:
    with ThreadPoolExecutor(20) as guessers:
        guesses = [guessers.submit(answer, deployment, f"other{n}", "127.0.0.8") for n in range(20)]
        whose = "joni (all addresses that it is not known to use): "
        eventually(lambda: whose in deployment.qmailctl("logins").stdout, "somebody is slowed")
        assert deployment.qmailctl("logins", "lift", "joni").returncode == 0
        assert {guess.result() for guess in guesses} <= {535, 454}
    nobody = deployment.qmailctl("logins", "lift", "nobody")
    assert (nobody.returncode, nobody.stdout) == (1, "nothing stands against nobody\n")
    log = deployment.directory / "log" / "auth" / "current"
    eventually(lambda: "refused login 127.0.0.8: smtp joni: wrong password" in log.read_text(), "it is in the log")


def test_a_network_stays_known_over_a_restart_of_auth_and_of_the_bus(tmp_path: Path) -> None:
    server = BusServer(tmp_path)
    server.start()
    server.make_streams()

    async def known(network: str, *, remember: bool = False) -> bool:
        environ = {"QMAIL_DIR": str(tmp_path), "BUS_URL": server.url}
        bus = await connect("auth", read_paths(environ), environ)
        networks = KnownNetworks(bus, b"auth's own")
        if remember:
            networks.remember(ARI, network)
            await asyncio.gather(*networks._storing)
        found = await KnownNetworks(bus, b"auth's own").knows(ARI, network)
        assert not await KnownNetworks(bus, b"another's").knows(ARI, network), "who reads the stream learns nothing"
        await bus.close()
        return found

    try:
        assert not asyncio.run(known("192.0.2.1"))
        assert asyncio.run(known("192.0.2.1", remember=True))
        server.stop(signal.SIGKILL)
        server.start()
        assert asyncio.run(known("192.0.2.1")) and not asyncio.run(known("192.0.2.2"))
    finally:
        server.stop()
