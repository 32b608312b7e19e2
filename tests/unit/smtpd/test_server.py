"""The door on real sockets: what a user's mail program sees, and what fails."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from services.smtpd.session import PATIENCE, SmtpSession

Connect = Callable[[int], Any]
OpenDoor = Callable[..., Any]

MESSAGE = b"Subject: x\r\n\r\nbody\r\n.\r\n"


def greeted(connect: Connect, port: int) -> Any:
    client = connect(port)
    assert client.reply() == b"220 mail.xeris.com ESMTP\r\n"
    return client


def begin(client: Any, recipient: bytes = b"joni@xeris.com") -> None:
    assert client.ask(b"MAIL FROM:<ari@xeris.com>") == b"250 ok\r\n"
    assert client.ask(b"RCPT TO:<" + recipient + b">") == b"250 ok\r\n"
    assert client.ask(b"DATA") == b"354 go ahead\r\n"


def test_telnet_dialogue_of_the_tutorial(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    assert client.ask(b"heLo") == b"250 mail.xeris.com\r\n"
    assert client.ask(b"mail from:ari@mail.xeris.com") == b"250 ok\r\n"
    assert client.ask(b"rcpt to:joni@mail.xeris.com") == b"250 ok\r\n"
    assert client.ask(b"data") == b"354 go ahead\r\n"
    client.send(b"subject:tes imel\r\n\r\nNgetes aja lho ....\r\n.\r\n")
    words = client.reply().split()
    [(envelope, text)] = door.messages()
    assert words[0:2] == [b"250", b"ok"] and words[3:] == [b"qp", b"%d" % envelope.id]
    assert client.ask(b"quit") == b"221 mail.xeris.com\r\n"
    assert client.rest() == b""
    assert (envelope.sender.raw, envelope.recipients[0].address.raw) == (b"ari@mail.xeris.com", b"joni@mail.xeris.com")
    lines = text.split(b"\n")
    assert lines[0].startswith(b"Received: (qmail %d invoked from network); " % envelope.id)
    assert lines[1] == b"Received: from unknown (HELO ) (127.0.0.1)"
    assert lines[2].startswith(b"  by mail.xeris.com with SMTP; ")
    assert text.endswith(b"\nsubject:tes imel\n\nNgetes aja lho ....\n")
    origin = envelope.origin
    assert (origin.role, origin.uid, origin.remote_ip) == ("smtpd", 901, "127.0.0.1")


def test_senders_in_badrcptto_are_an_alert_and_hits_are_counted(door: Any, connect: Connect) -> None:
    bad = door.directory / "control" / "badrcptto"
    bad.write_text("joe@penthouse.com\nold@xeris.com\n")
    client = greeted(connect, door.port)
    client.ask(b"MAIL FROM:<joe@penthouse.com>")
    for _ in range(2):
        reply = client.ask(b"RCPT TO:<old@xeris.com>")
        assert reply == b"553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)\r\n"
    notices = door.log.notices
    assert notices.counts == (("control/badrcptto: old@xeris.com", 2),)
    [alert] = [standing.text for standing in notices.standing if "badrcptto" in standing.key]
    assert alert.startswith("control/badrcptto: joe@penthouse.com: no recipient of ours; if senders are meant")
    assert any(line.startswith("refused recipient 127.0.0.1: RCPT TO:<old@xeris.com>") for line in door.log.lines)
    bad.write_text("old@xeris.com\n")
    greeted(connect, door.port)
    assert not [standing for standing in notices.standing if "badrcptto" in standing.key]


def test_smtplib_sends_several_messages_on_one_connection(door: Any) -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("a line\n.a dot\n")
    with smtplib.SMTP("127.0.0.1", door.port) as client:
        assert client.ehlo()[0] == 250
        assert client.has_extn("pipelining") and client.esmtp_features["size"] == "26214400"
        for _ in range(3):
            client.send_message(message, "ari@xeris.com", ["joni@xeris.com", "joe@xeris.com"])
    found = door.messages()
    assert len(found) == 3
    assert all(text.endswith(b"a line\n.a dot\n") for _, text in found)
    assert b" with ESMTP; " in found[0][1]


def test_message_arrives_byte_by_byte_whole(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in b"MAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n" + MESSAGE:
        client.send(bytes([octet]))
    assert [client.reply()[:3] for _ in range(4)] == [b"250", b"250", b"354", b"250"]
    assert door.messages()[0][1].endswith(b"Subject: x\n\nbody\n")


def test_pipelined_session_with_the_text_in_the_same_packet(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    client.send(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n" + MESSAGE + b"QUIT\r\n")
    assert [client.reply()[:3] for _ in range(6)] == [b"250", b"250", b"250", b"354", b"250", b"221"]
    assert len(door.messages()) == 1


def test_foreign_recipient_is_refused_and_relaying_needs_a_rule(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    client.ask(b"MAIL FROM:<a@b>")
    assert client.ask(b"RCPT TO:<x@elsewhere.org>").startswith(b"553 sorry, that domain isn't in my list")
    (door.directory / "control" / "tcp.smtp").write_text('127.:allow,RELAYCLIENT=""\n:allow\n')
    other = greeted(connect, door.port)
    other.ask(b"MAIL FROM:<a@b>")
    assert other.ask(b"RCPT TO:<x@elsewhere.org>") == b"250 ok\r\n"


def test_rule_may_deny_and_a_broken_rules_file_keeps_the_old_rules(door: Any, connect: Connect) -> None:
    rules = door.directory / "control" / "tcp.smtp"
    rules.write_text("127.0.0.1:deny\n")
    assert connect(door.port).rest().startswith(b"421 sorry, connections from your address")
    rules.write_text("127.0.0.1 deny, no colon\n")
    assert connect(door.port).rest().startswith(b"421 ")
    assert any("line 1: no colon" in line for line in door.log.lines)


def test_changed_control_files_count_for_the_next_session(door: Any, connect: Connect) -> None:
    greeted(connect, door.port)
    (door.directory / "control" / "smtpgreeting").write_text("other.name says hello\n")
    assert connect(door.port).reply() == b"220 other.name says hello ESMTP\r\n"


def test_unreadable_control_file_is_a_421(door: Any, connect: Connect) -> None:
    (door.directory / "control" / "badmailfrom").mkdir()
    assert connect(door.port).rest() == b"421 unable to read controls (#4.3.0)\r\n"


def test_too_many_connections_get_a_clear_text(door: Any, connect: Connect) -> None:
    (door.directory / "control" / "concurrencyincoming").write_text("2\n")
    first, second = greeted(connect, door.port), greeted(connect, door.port)
    assert connect(door.port).rest().startswith(b"421 sorry, too many connections here")
    first.ask(b"QUIT")
    assert first.rest() == b""
    assert second.ask(b"NOOP") == b"250 ok\r\n"
    greeted(connect, door.port)


def test_too_many_connections_from_one_address(door: Any, connect: Connect) -> None:
    (door.directory / "control" / "concurrencyperip").write_text("1\n")
    greeted(connect, door.port)
    assert connect(door.port).rest().startswith(b"421 sorry, too many connections from your address")


def test_without_a_limit_per_address_half_is_left_for_others(open_door: OpenDoor, connect: Connect) -> None:
    door = open_door(SMTP_LISTEN="0.0.0.0:0")
    control = door.directory / "control"
    (control / "concurrencyincoming").write_text("3\n")
    greeted(connect, door.port), greeted(connect, door.port)
    assert connect(door.port).rest().startswith(b"421 sorry, too many connections from your address")
    (control / "concurrencyperip").write_text("3\n")
    greeted(connect, door.port)


def test_limits_changed_while_the_door_is_open_count_for_the_next_session(door: Any, connect: Connect) -> None:
    control = door.directory / "control"
    greeted(connect, door.port)
    (control / "concurrencyincoming").write_text("1\n")
    assert connect(door.port).rest().startswith(b"421 sorry, too many connections here")
    (control / "concurrencyincoming").unlink()
    (control / "concurrencyperip").write_text("1\n")
    assert connect(door.port).rest().startswith(b"421 sorry, too many connections from your address")
    (control / "concurrencyperip").write_text("2\n")
    greeted(connect, door.port)
    (control / "concurrencyperip").unlink()
    (control / "concurrencyperip").mkdir()
    for _ in range(2):
        assert connect(door.port).rest() == b"421 unable to read controls (#4.3.0)\r\n"


def test_queue_full_is_a_452_at_mail_and_nothing_is_stored(door: Any, connect: Connect) -> None:
    door.do(lambda: setattr(door.bus.streams["IN"], "max_bytes", 1000))
    client = greeted(connect, door.port)
    assert client.ask(b"MAIL FROM:<a@b>") == b"452 sorry, the queue is full, try again later (#4.3.1)\r\n"
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"503 MAIL first (#5.5.1)\r\n"


def test_queue_full_at_the_commit_is_a_452(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    door.do(lambda: setattr(door.bus.streams["IN"], "max_bytes", 10))
    client.send(MESSAGE)
    assert client.reply().startswith(b"452 ")
    assert door.messages() == []
    door.do(lambda: setattr(door.bus.streams["IN"], "max_bytes", -1))
    begin(client)
    client.send(MESSAGE)
    assert client.reply().startswith(b"250 ok ")


def test_bus_down_is_a_451_at_mail_and_at_the_commit(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    door.do(lambda: setattr(door.bus, "connected", False))
    client.send(MESSAGE)
    assert client.reply() == b"451 sorry, I can't reach my queue, try again later (#4.3.0)\r\n"
    assert client.ask(b"MAIL FROM:<a@b>").startswith(b"451 ")
    door.do(lambda: setattr(door.bus, "connected", True))
    assert client.ask(b"MAIL FROM:<a@b>") == b"250 ok\r\n"
    assert door.messages() == []


def test_a_fault_of_ours_ends_the_connection_instead_of_leaving_the_client_waiting(
    door: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(self: SmtpSession, answer: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(SmtpSession, "answered", fault)
    client = greeted(connect, door.port)
    client.send(b"MAIL FROM:<ari@xeris.com>\r\n")
    assert client.rest() == b""
    assert door.do(lambda: len(door.server.connections)) == 0


@pytest.mark.parametrize("step", ["connected", "timed_out"])
def test_a_fault_of_ours_at_the_door_gives_the_place_back(
    door: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fault(self: SmtpSession) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(SmtpSession, step, fault)
    (door.directory / "control" / "concurrencyincoming").write_text("1\n")
    (door.directory / "control" / "timeoutsmtpd").write_text("1\n")
    first = connect(door.port)
    with contextlib.suppress(ConnectionResetError):
        first.rest()
    monkeypatch.undo()
    greeted(connect, door.port)


def test_disconnect_in_the_middle_of_data_stores_nothing(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"Subject: half\r\n\r\nhal")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert door.messages() == []


def test_disconnect_in_the_middle_of_a_large_message_aborts_its_parts(door: Any, connect: Connect) -> None:
    heard: list[bytes] = []
    door.call(door.bus.subscribe("abort", lambda message: heard.append(message.payload)))
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 20_000)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    door.call(asyncio.sleep(0))
    stored = door.do(lambda: list(door.bus.streams["BODY"].last_of))
    assert stored and door.messages() == []
    door.terminate()
    door.join()
    assert [b"%d" % int(stored[0].split(".")[1])] == heard


def test_large_message_goes_in_parts_and_comes_out_whole(door: Any, connect: Connect) -> None:
    line = bytes(range(33, 126)) + b"\r\n"
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"Subject: big\r\n\r\n" + line * 30_000 + b"..dot\r\n.\r\n")
    assert client.reply().startswith(b"250 ok ")
    [(envelope, text)] = door.messages()
    assert envelope.chunk_count == -(-envelope.size_bytes // (512 * 1024))
    assert text[len(envelope.prefix) :] == b"Subject: big\n\n" + line.replace(b"\r\n", b"\n") * 30_000 + b".dot\n"


def test_large_message_that_the_queue_refuses_is_read_to_its_end_and_answered(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    door.do(lambda: setattr(door.bus.streams["BODY"], "max_bytes", 600_000))
    client.send(b"\r\n" + (b"x" * 998 + b"\r\n") * 3000 + b".\r\n")
    assert client.reply().startswith(b"452 ")
    assert client.ask(b"NOOP") == b"250 ok\r\n"


def test_message_over_databytes_is_a_552_and_the_session_goes_on(door: Any, connect: Connect) -> None:
    (door.directory / "control" / "databytes").write_text("700000\n")
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"\r\n" + (b"x" * 998 + b"\r\n") * 1000 + b".\r\n")
    assert client.reply().startswith(b"552 ")
    assert client.ask(b"MAIL FROM:<a@b> SIZE=700001").startswith(b"552 ")
    assert door.messages() == []


def test_bare_newline_is_refused_and_the_connection_closed(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"\r\nx\n.\nMAIL FROM:<evil@x>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n\r\n.\r\n" * 3)
    assert client.rest() == b"451 See http://pobox.com/~djb/docs/smtplf.html.\r\n"
    assert door.messages() == []


def test_recipient_is_asked_of_delivery_local(door: Any, connect: Connect) -> None:
    known = {"joni@xeris.com": "ok", "sarah@xeris.com": "no", "joe@xeris.com": "quota", "diva@xeris.com": "unknown"}
    asked: list[str] = []

    def give(question: bytes) -> bytes:
        asked.append(json.loads(question)["address"])
        return json.dumps({"answer": known[asked[-1]]}).encode()

    door.answer("ask.rcpt", give)
    client = greeted(connect, door.port)
    client.ask(b"MAIL FROM:<a@b>")
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"250 ok\r\n"
    assert client.ask(b"RCPT TO:<joni@xeris.com>") == b"250 ok\r\n"
    assert client.ask(b"RCPT TO:<sarah@xeris.com>") == b"550 sorry, no mailbox here by that name. (#5.1.1)\r\n"
    assert client.ask(b"RCPT TO:<joe@xeris.com>").startswith(b"452 ")
    assert client.ask(b"RCPT TO:<diva@xeris.com>") == b"250 ok\r\n"
    assert asked == ["joni@xeris.com", "sarah@xeris.com", "joe@xeris.com", "diva@xeris.com"]


def test_timeout_is_told_and_the_connection_closed(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)

    def forget_the_bound() -> None:
        for connection in door.server.connections:
            connection._bound = 0

    door.do(forget_the_bound)
    assert client.rest() == b"451 timeout (#4.4.2)\r\n"


def an_hour_later(door: Any) -> None:
    """As if the clients had been here for longer than a client who puts no message may be."""

    def age() -> None:
        for connection in door.server.connections:
            connection.stay.since -= PATIENCE.seconds

    door.do(age)


def test_a_message_that_drips_is_given_up_though_each_byte_is_in_time(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"Subject: slow\r\n")
    an_hour_later(door)
    client.send(b"x")
    assert client.rest() == b"451 timeout (#4.4.2)\r\n"
    assert door.messages() == []


def test_commands_without_a_message_do_not_keep_the_place_for_ever(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    an_hour_later(door)
    assert client.ask(b"NOOP") == b"250 ok\r\n"
    assert client.rest() == b"451 timeout (#4.4.2)\r\n"


def test_a_large_message_over_a_slow_line_has_the_time_it_takes(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    client.send(b"\r\n" + (b"x" * 998 + b"\r\n") * 400)
    an_hour_later(door)
    client.send(b"y\r\n.\r\n")
    assert client.reply().startswith(b"250 ok ")
    an_hour_later(door)
    assert client.ask(b"NOOP") == b"250 ok\r\n"
    assert client.rest() == b"451 timeout (#4.4.2)\r\n"


def test_an_endless_message_has_a_day(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    begin(client)
    (connection,) = door.server.connections

    def a_day_later() -> None:
        connection.stay.since -= PATIENCE.longest_seconds
        connection.stay.sent_bytes += 10**9

    door.do(a_day_later)
    client.send(b"x")
    assert client.rest() == b"451 timeout (#4.4.2)\r\n"


def test_clients_are_asked_by_tcp_whether_they_are_still_there(door: Any, connect: Connect) -> None:
    greeted(connect, door.port)
    (connection,) = door.server.connections
    accepted = connection._wire.info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_term_lets_a_transaction_finish_and_sends_idle_clients_away(door: Any, connect: Connect) -> None:
    idle, busy = greeted(connect, door.port), greeted(connect, door.port)
    begin(busy)
    door.terminate()
    assert idle.rest() == b"421 going down, try again in a moment (#4.3.2)\r\n"
    busy.send(MESSAGE)
    assert busy.reply().startswith(b"250 ok ")
    assert busy.rest() == b"421 going down, try again in a moment (#4.3.2)\r\n"
    with pytest.raises(ConnectionRefusedError):
        connect(door.port)
    door.join()


def test_log_has_tcpservers_lines(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    port = client.socket.getsockname()[1]
    client.ask(b"QUIT")
    assert client.rest() == b""
    door.do(lambda: None)
    assert [line for line in door.log.lines if line.startswith("tcpserver:")] == [
        "tcpserver: status: 1/50",
        "tcpserver: pid 1 from 127.0.0.1",
        f"tcpserver: ok 1 mail.xeris.com:127.0.0.1:{door.port} :127.0.0.1::{port}",
        "tcpserver: end 1 status 0",
        "tcpserver: status: 0/50",
    ]


def test_client_that_never_reads_its_replies_is_bounded(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        for _ in range(400):
            client.send(b"HELP\r\n" * 5_000)


# --- TLS and AUTH ---


@pytest.fixture
def certificate(directory: Path) -> ssl.SSLContext:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.xeris.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    made = signed.sign(key, hashes.SHA256())
    (directory / "tls").mkdir()
    (directory / "tls" / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "tls" / "key.pem").write_bytes(pem)
    context = ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    context.check_hostname = False
    return context


def passwords(question: bytes) -> bytes:
    asked = json.loads(question)
    if asked["user"] == "slow":
        return b'{"ok": false, "temporary": true}'
    good = (asked["user"], asked["password"]) == ("ari", "aripass")
    return json.dumps({"ok": good, "name": "ari", "uid": 2001, "gid": 2001, "home": "/home/ari"}).encode()


def test_starttls_then_auth_lets_a_user_relay(certificate: ssl.SSLContext, door: Any) -> None:
    door.answer("ask.pass", passwords)
    with smtplib.SMTP("127.0.0.1", door.submission_port) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        client.starttls(context=certificate)
        client.ehlo()
        assert not client.has_extn("starttls") and client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        assert client.mail("ari@xeris.com") == (530, b"authentication required (#5.7.0)")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ari", "wrong")
        client.login("ari", "aripass")
        client.sendmail("ari@xeris.com", ["x@elsewhere.org"], "Subject: x\n\nb\n")
    [(envelope, text)] = door.messages()
    assert envelope.origin.account == b"ari"
    assert b" with ESMTPSA; " in text


def test_implicit_tls_port_with_login_mechanism(certificate: ssl.SSLContext, door: Any) -> None:
    door.answer("ask.pass", passwords)
    with smtplib.SMTP_SSL("127.0.0.1", door.server.ports[2], context=certificate) as client:
        client.ehlo()
        client.user, client.password = "ari", "aripass"
        assert client.auth("LOGIN", client.auth_login)[0] == 235
        assert client.mail("ari@xeris.com")[0] == 250


def test_commands_slipped_in_before_the_handshake_are_forgotten(
    certificate: ssl.SSLContext, door: Any, connect: Connect
) -> None:
    client = greeted(connect, door.port)
    client.ask(b"EHLO x")
    client.send(b"STARTTLS\r\nMAIL FROM:<evil@x>\r\n")
    assert client.reply().startswith(b"220 ")
    wrapped = certificate.wrap_socket(client.socket)
    wrapped.sendall(b"RCPT TO:<joni@xeris.com>\r\n")
    assert wrapped.recv(100) == b"503 MAIL first (#5.5.1)\r\n"
    wrapped.close()


def test_failed_handshake_ends_only_that_connection(certificate: ssl.SSLContext, door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    assert client.ask(b"STARTTLS").startswith(b"220 ")
    client.send(b"this is no handshake\r\n")
    with contextlib.suppress(ConnectionError):
        client.rest()
    assert greeted(connect, door.port).ask(b"NOOP") == b"250 ok\r\n"


def test_auth_down_is_temporary_and_so_is_auth_that_cannot_say(door: Any, connect: Connect) -> None:
    client = greeted(connect, door.port)
    client.ask(b"EHLO x")
    plain = b"AUTH PLAIN " + base64.b64encode(b"\0slow\0x")
    assert client.ask(plain) == b"454 temporary authentication failure (#4.7.0)\r\n"
    door.answer("ask.pass", passwords)
    assert client.ask(plain) == b"454 temporary authentication failure (#4.7.0)\r\n"
    assert client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0ari\0aripass")).startswith(b"235 ")
