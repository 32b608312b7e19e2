"""Every parameter that EHLO's lines promise is taken in MAIL, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qmail.message.envelope import MailParameters
from services.smtpd import replies
from services.smtpd.extensions import EXTENSIONS, mail_parameters
from services.smtpd.facts import Client
from tests.unit.smtpd.test_session import AUTH, CLIENT, POLICY, TLS, Talk

VALUES = {b"BODY": b"=8BITMIME", b"SIZE": b"=10", b"AUTH": b"=<>"}


@pytest.mark.parametrize("client", [CLIENT, TLS, AUTH], ids=["plain", "TLS offered", "AUTH offered"])
@pytest.mark.parametrize("parameter", [each.parameter for each in EXTENSIONS if each.parameter])
def test_mail_takes_the_parameters_of_what_ehlo_announces(client: Client, parameter: bytes) -> None:
    talk = Talk(client=client)
    [row] = [each for each in EXTENSIONS if each.parameter == parameter]
    announced = row.keyword(talk.session.dialogue)
    said = [line[4:] for line in talk.line(b"EHLO x").splitlines()]
    assert (announced in said) == (announced is not None)
    reply = talk.line(b"MAIL FROM:<a@b> " + parameter + VALUES.get(parameter, b""))
    assert reply == (replies.OK if announced is not None else replies.UNKNOWN_PARAMETER)


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        (b"SIZE=x BODY=y", replies.BAD_SIZE),
        (b"BODY=y SIZE=x", replies.BAD_BODY),
        (b"SIZE=1000001", replies.TOO_BIG),
        (b"BODY=y RET=FULL", replies.UNKNOWN_PARAMETER),
        (b"SIZE=1 size=x =junk", replies.OK),
    ],
)
def test_the_first_wrong_parameter_is_answered_after_unknown_ones(parameters: bytes, reply: bytes) -> None:
    assert Talk().line(b"MAIL FROM:<a@b> " + parameters) == reply


def test_qmail_1_03_has_two_of_them_and_reads_no_parameter() -> None:
    talk = Talk(policy=replace(POLICY, extensions=False), client=AUTH)
    assert talk.line(b"EHLO x") == b"250-mail.xeris.com\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    assert talk.line(b"MAIL FROM:<a@b> RET=FULL SIZE=x") == replies.OK


def test_what_goes_on_with_the_message() -> None:
    assert mail_parameters({}) == MailParameters()
    assert mail_parameters({b"BODY": b"8bitmime", b"SMTPUTF8": b"", b"SIZE": b"1", b"AUTH": b"<>"}) == MailParameters(
        "8BITMIME", smtputf8=True
    )
