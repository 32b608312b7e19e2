"""The client's conversation, without a network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qmail.message.envelope import MailParameters
from services.delivery.remote.client import (
    Client,
    Close,
    Effect,
    Manner,
    Send,
    SendMessage,
    StartTls,
    Transaction,
    parse_offers,
)

HOST = b"192.0.2.1"
MANNER = Manner(helo=b"mail.xeris.com", extended=True, tls=True)
PLAIN = Manner(helo=b"mail.xeris.com", extended=False, tls=False)
ONE = Transaction(sender=b"a@x", recipients=(b"b@y",), size_bytes=100)
TWO = replace(ONE, recipients=(b"b@y", b"c@y"))
EHLO = b"250-hi\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
QUIT = [Send(b"QUIT\r\n"), Close()]


def greeted(transaction: Transaction, manner: Manner = MANNER) -> Client:
    client = Client(HOST, manner, transaction)
    client.received(b"220 hi\r\n")
    return client


def test_pipelining_sends_the_commands_together_and_the_message_after_an_accepted_recipient() -> None:
    client = greeted(TWO)
    assert client.received(EHLO) == [Send(b"MAIL FROM:<a@x> SIZE=100\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n")]
    assert client.received(b"250 ok\r\n250 ok\r\n") == []
    assert client.received(b"550 no\r\n") == []
    assert client.received(b"354 go\r\n") == [SendMessage()]
    client.message_ends()
    assert client.message_sent() == []
    assert client.received(b"250 done\r\n") == QUIT
    assert client.report == [
        b"r",
        b"h192.0.2.1 does not like recipient.\nRemote host said: 550 no\n",
        b"K192.0.2.1 accepted message.\nRemote host said: 250 done\n",
    ]


@pytest.mark.parametrize(
    "rest", [[b"503 whom\r\n"], [b"354 go\r\n", b"554 whom\r\n"], [b"354 go\r\n", b"250 nobody\r\n"]]
)
def test_data_that_was_said_for_nobody_sends_no_message(rest: list[bytes]) -> None:
    """RFC 2920 3.1: where all recipients are refused and DATA is not, an empty message ends it."""
    client = greeted(ONE)
    client.received(EHLO)
    effects = client.received(b"250 ok\r\n550 no\r\n")
    for reply in rest:
        effects += client.received(reply)
    assert effects == [*([Send(b".\r\n")] if len(rest) > 1 else []), *QUIT]
    assert [part[:1] for part in client.report] == [b"h", b"D"]
    assert client.report[1] == b"DGiving up on 192.0.2.1.\n"


def test_a_sender_refused_while_pipelining_ends_at_once() -> None:
    client = greeted(TWO)
    client.received(EHLO)
    assert client.received(b"451 later\r\n503 what\r\n503 what\r\n") == QUIT
    assert client.report == [b"ZConnected to 192.0.2.1 but sender was rejected.\nRemote host said: 451 later\n"]


def test_a_server_without_ehlo_gets_helo_and_plain_commands() -> None:
    client = greeted(TWO)
    assert client.received(b"502 what\r\n") == [Send(b"HELO mail.xeris.com\r\n")]
    assert client.received(b"250 hi\r\n") == [Send(b"MAIL FROM:<a@x>\r\n")]
    assert client.received(b"250 ok\r\n") == [Send(b"RCPT TO:<b@y>\r\n")]
    assert client.received(b"250 ok\r\n") == [Send(b"RCPT TO:<c@y>\r\n")]


def test_extensions_none_never_says_ehlo() -> None:
    client = Client(HOST, PLAIN, ONE)
    assert client.received(b"220 hi ESMTP\r\n") == [Send(b"HELO mail.xeris.com\r\n")]


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"450 later\r\n", b"250 hi\r\n"])
def test_no_greeting_is_more_than_a_temporary_refusal(greeting: bytes) -> None:
    client = Client(HOST, MANNER, ONE)
    assert client.received(greeting) == QUIT
    assert client.report[-1].startswith(b"ZConnected to 192.0.2.1 but greeting failed.\n")


def test_starttls_begins_again_and_forgets_plain_text_sent_ahead() -> None:
    client = greeted(ONE)
    assert client.received(b"250-hi\r\n250-8BITMIME\r\n250 STARTTLS\r\n") == [Send(b"STARTTLS\r\n")]
    assert client.received(b"220 go\r\n250-evil\r\n250 SIZE 1\r\n") == [StartTls()]
    assert client.tls_started() == [Send(b"EHLO mail.xeris.com\r\n")]
    assert client.received(b"250-hi\r\n250 STARTTLS\r\n") == [Send(b"MAIL FROM:<a@x>\r\n")]


def test_a_server_that_refuses_starttls_still_gets_the_mail() -> None:
    client = greeted(ONE)
    client.received(b"250-hi\r\n250 STARTTLS\r\n")
    assert client.received(b"454 not now\r\n") == [Send(b"MAIL FROM:<a@x>\r\n")]


def test_a_message_over_the_announced_size_fails_before_it_is_sent() -> None:
    client = greeted(replace(ONE, size_bytes=1001))
    assert client.received(EHLO) == QUIT
    assert client.report == [b"DConnected to 192.0.2.1 but it takes at most 1000 bytes. (#5.3.4)\n"]


@pytest.mark.parametrize("size", [b"SIZE", b"SIZE 0", b"SIZE none"])
def test_a_size_that_is_no_limit_is_none(size: bytes) -> None:
    client = greeted(ONE)
    assert isinstance(client.received(b"250-hi\r\n250 " + size + b"\r\n")[0], Send)
    assert not client.done


def test_eight_bit_and_utf8_are_announced_where_they_are_known() -> None:
    international = replace(ONE, sender="ö@x".encode(), parameters=MailParameters("8BITMIME", smtputf8=True))
    assert greeted(international).received(EHLO) == [
        Send(b"MAIL FROM:<\xc3\xb6@x> SIZE=100 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<b@y>\r\nDATA\r\n")
    ]
    client = greeted(international)
    assert client.received(b"250 hi\r\n") == QUIT
    assert client.report[0].startswith(b"DConnected to 192.0.2.1 but it does not support international")


def end_of_data(client: Client) -> list[Effect]:
    client.received(EHLO)
    client.received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    client.message_ends()
    return client.message_sent()


def test_a_lost_answer_to_the_final_dot_is_a_possible_duplicate() -> None:
    client = greeted(ONE)
    end_of_data(client)
    client.lost()
    assert client.report == [
        b"r",
        b"ZConnected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n",
    ]


def test_a_connection_lost_before_the_final_dot_is_no_duplicate() -> None:
    client = greeted(ONE)
    client.received(EHLO)
    client.lost()
    assert client.report == [b"ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"]


def test_losing_the_connection_after_the_answer_changes_nothing() -> None:
    client = greeted(ONE)
    end_of_data(client)
    client.received(b"250 mine now\r\n")
    client.lost()
    assert client.report[-1].startswith(b"K192.0.2.1 accepted message.")


def test_answers_that_come_before_their_questions_are_taken_in_order() -> None:
    client = Client(HOST, PLAIN, ONE)
    effects = client.received(b"220 x\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n")
    assert effects[-1] == SendMessage()
    client.message_ends()
    assert client.message_sent() == QUIT
    assert client.report == [b"r", b"K192.0.2.1 accepted message.\nRemote host said: 250 e\n"]


def test_a_reply_without_end_is_a_deferral() -> None:
    client = greeted(ONE)
    effects = client.received(b"250-x\r\n" * 2000)
    assert effects == [Close()]
    assert client.report == [b"ZConnected to 192.0.2.1 but its reply was too long. (#4.5.0)\n"]


def test_offers_are_read_without_case_and_with_parameters() -> None:
    assert parse_offers(b"250-host\n250-size 5\n250 StartTLS\n") == {b"SIZE": b"5", b"STARTTLS": b""}


# --- One message after the other on a connection ---

KEPT = replace(MANNER, keep=True)
PIPELINED = {b"PIPELINING": b""}
OK = b"250 ok"
GROUP = b"RSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"


def used(offers: dict[bytes, bytes] | None = None, transaction: Transaction = ONE) -> Client:
    return Client(HOST, KEPT, transaction, PIPELINED if offers is None else offers)


def test_after_an_answer_the_connection_is_left_for_another_message() -> None:
    client = greeted(ONE, KEPT)
    end_of_data(client)
    assert client.received(b"250 mine now\r\n") == [Close()]
    assert client.reusable
    assert b"PIPELINING" in client.offers


def test_the_next_message_begins_with_rset_in_one_piece_with_the_rest() -> None:
    client = used()
    assert client.begin() == [Send(GROUP)]
    assert client.received(b"250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [SendMessage()]
    client.message_ends()
    assert client.message_sent() == []
    assert client.received(b"250 mine\r\n") == [Close()]
    assert client.report == [b"r", b"K192.0.2.1 accepted message.\nRemote host said: 250 mine\n"]
    assert client.reusable


def test_without_pipelining_each_command_of_the_next_message_waits_for_its_reply() -> None:
    client = used({})
    said = [client.begin(), *(client.received(b"250 ok\r\n") for _ in range(3))]
    assert said == [[Send(line + b"\r\n")] for line in (b"RSET", b"MAIL FROM:<a@x>", b"RCPT TO:<b@y>", b"DATA")]


@pytest.mark.parametrize(
    "said",
    [
        [],
        [b"421 idle too long"],
        [b"500 what"],
        [OK, b"421 bye"],
        [OK, b"452 enough for one connection"],
        [OK, OK, b"421 bye"],
        [OK, OK, OK, b"421 bye"],
        [OK, OK, OK, b"354 go"],
    ],
)
def test_a_used_connection_that_ends_before_the_final_dot_says_nothing_about_the_message(said: list[bytes]) -> None:
    client = used()
    client.begin()
    client.received(b"".join(line + b"\r\n" for line in said))
    client.lost()
    assert client.stale and client.done and not client.reusable


def test_a_used_connection_that_ends_after_the_final_dot_is_a_possible_duplicate_and_no_new_one_is_wanted() -> None:
    client = used()
    client.begin()
    client.received(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    client.message_ends()
    client.lost()
    assert not client.stale
    assert client.report[-1] == b"ZConnected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"


def test_a_used_connection_s_refusal_of_the_sender_or_recipient_counts() -> None:
    for said, letter in ((b"550 not you\r\n", b"D"), (b"250 ok\r\n550 nobody\r\n503 whom\r\n", b"h")):
        client = used()
        client.begin()
        client.received(b"250 ok\r\n" + said)
        assert not client.stale
        assert client.report[0][:1] == letter


@pytest.mark.parametrize(("replies", "reusable"), [
    (b"550 no\r\n503 whom\r\n", True),  # everything is answered
    (b"550 no\r\n421 whom\r\n", False),
    (b"250 ok\r\n451 not now\r\n", True),
    (b"250 ok\r\n354 go\r\n", False),  # in the message
])  # fmt: skip
def test_a_connection_is_left_open_only_where_every_reply_has_come(replies: bytes, reusable: bool) -> None:
    client = greeted(ONE, KEPT)
    client.received(EHLO)
    client.received(b"250 ok\r\n" + replies)
    assert client.reusable == reusable


@pytest.mark.parametrize("said", [b"554 go away\r\n", b"220 hi\r\n502 what\r\n550 not you\r\n"])
def test_a_host_that_does_not_serve_us_is_left(said: bytes) -> None:
    client = Client(HOST, KEPT, ONE)
    assert client.received(said)[-2:] == QUIT
    assert not client.reusable


def test_a_reply_too_many_ends_the_connection() -> None:
    client = greeted(ONE, KEPT)
    end_of_data(client)
    assert client.received(b"250 mine\r\n250 and what is this\r\n") == QUIT
    assert not client.reusable


def test_a_message_too_large_for_a_used_connection_leaves_it_as_it_is() -> None:
    client = used({b"SIZE": b"50"})
    assert client.begin() == [Close()]
    assert client.reusable
    assert client.report == [b"DConnected to 192.0.2.1 but it takes at most 50 bytes. (#5.3.4)\n"]
