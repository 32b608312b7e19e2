"""Other people's exchangers as reports tell of them: a first one that greets with 554, one at 0.0.0.0, one that refuses
after DATA. Real SMTP servers on port 25 of loopback addresses, found by a real name server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.deployment import eventually
from tests.support.dnsserver import DnsServer, Zone
from tests.support.mail_run import MailRun, mail_run

WILLING, UNWILLING = "127.0.0.31", "127.0.0.32"
ZONE: Zone = {
    "greet.dom": [["MX", 10, "two.mx"], ["MX", 20, "one.mx"]],
    "one.mx": [["A", WILLING]],
    "two.mx": [["A", UNWILLING]],
    "zero.dom": [["MX", 10, "zero.mx"]],
    "zero.mx": [["A", "0.0.0.0"]],
    "refuses.dom": [["MX", 10, "one.mx"]],
    "xeris.com": [["MX", 50, "mail.xeris.com"]],
}

pytestmark = pytest.mark.root(reason="exchangers listen on port 25")


class Willing:
    """Takes what comes, but for two recipients."""

    def __init__(self) -> None:
        self.recipients: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.recipients += envelope.rcpt_tos
        return "554 5.7.1 refused" if envelope.rcpt_tos[0].startswith("data") else "250 kept"


class Unwilling(SMTP):
    """Says that it does not serve, and hangs up."""

    async def _handle_client(self) -> None:
        await self.push("554 go to the next")
        assert self.transport is not None
        self.transport.close()


class UnwillingController(Controller):
    def factory(self) -> SMTP:
        return Unwilling(self.handler)


@contextmanager
def name_server() -> Iterator[int]:
    """A DnsServer with a loop and a thread of its own; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = DnsServer(ZONE)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    try:
        yield server.port
    finally:
        loop.call_soon_threadsafe(server.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[MailRun, Willing]]:
    willing = Willing()
    controllers = (
        Controller(willing, hostname=WILLING, port=25),
        UnwillingController(willing, hostname=UNWILLING, port=25),
    )
    with ExitStack() as stack:
        for controller in controllers:
            controller.start()
            stack.callback(controller.stop)
        port = stack.enter_context(name_server())
        mail = stack.enter_context(mail_run(DNS_SERVER=f"127.0.0.1:{port}"))
        mail.start()
        yield mail, willing


def send(mail: MailRun, recipient: str) -> None:
    done = mail.qmailctl("inject", "-f", "ari@xeris.com", recipient, text=f"Subject: {recipient}\n\nhalo\n")
    assert done.returncode == 0, done.stderr


def bounce_of(mail: MailRun, recipient: str) -> bytes:
    """The bounce in ari's Maildir that names the recipient."""
    found = eventually(
        lambda: [each for each in mail.messages("ari") if f"<{recipient}>:".encode() in each], "the bounce", 180
    )
    assert len(found) == 1
    return bytes(found[0])


def test_a_first_exchanger_that_greets_with_554_leads_to_the_second_at_once(world: tuple[MailRun, Willing]) -> None:
    mail, willing = world
    send(mail, "u@greet.dom")
    eventually(lambda: "u@greet.dom" in willing.recipients, "the message at the second exchanger", 180)
    mail.drained()
    assert "deferral" not in mail.log().partition("u@greet.dom")[2]


def test_an_exchanger_at_0_0_0_0_is_ourselves(world: tuple[MailRun, Willing]) -> None:
    mail, _ = world
    send(mail, "u@zero.dom")
    assert b"(#5.4.6)" in bounce_of(mail, "u@zero.dom")


def test_554_after_the_message_is_a_bounce_with_that_text_and_no_second_try(world: tuple[MailRun, Willing]) -> None:
    mail, willing = world
    send(mail, "data@refuses.dom")
    assert b"554 5.7.1 refused" in bounce_of(mail, "data@refuses.dom")
    mail.drained()
    assert willing.recipients.count("data@refuses.dom") == 1
