"""A mail program that knows TLS 1.0 alone is told so by TLS's own alert, and the administrator by a line of the log."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.cases.conftest import Case
from tests.support.deployment import eventually
from tests.support.hall import old_client
from tests.support.mail_run import HOST

SECONDS = 60.0
ASK = {"smtp": b"STARTTLS\r\n", "submission": b"STARTTLS\r\n", "pop3": b"STLS\r\n", "imap": b"a STARTTLS\r\n"}


@pytest.mark.parametrize("door", ASK)
def test_an_old_client_hears_the_alert_and_the_log_says_who_and_why(case: Case, door: str) -> None:
    port = case.mail.run.ports[f"{door.upper()}_PORT"]
    with socket.create_connection((HOST, port), timeout=SECONDS) as client:
        stream = client.makefile("rb")
        stream.readline()
        client.sendall(ASK[door])
        assert stream.readline()[:1] in (b"2", b"+", b"a")
        with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
            old_client().wrap_socket(client)
    line = f"refused tls {HOST}: STARTTLS on {port}: unsupported protocol"
    eventually(lambda: line in case.logs(), f"{line} in the log", SECONDS)
