"""The dialogue: every verb in every state, every bound, and any cut of the bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.ports import BusDown, QueueFull
from qmail.control.bad_addresses import parse_entries, plain_entries
from qmail.control.routing import Routes
from qmail.door.session import Ask, Close, Effect, Send, StartTls, Stopping
from qmail.log.notices import Refused
from qmail.message.address import Address
from qmail.message.envelope import MailParameters
from qmail.message.existence import Exists
from qmail.queue.put import EnvelopeTooLarge
from services.smtpd import replies
from services.smtpd.dialogue import MAX_BAD_COMMANDS
from services.smtpd.facts import AskRecipient, Client, Commit, Drop, Login, Ready, Store
from services.smtpd.grammar import MAX_COMMAND_BYTES, parse_command
from services.smtpd.mail_transaction import GATHER_BYTES
from services.smtpd.policy import Policy
from services.smtpd.session import SmtpSession
from services.smtpd.states import State
from services.smtpd.table import INPUT, TABLE, TOO_LONG
from tests.support.drafts import ORIGIN

POLICY = Policy(
    greeting=b"mail.xeris.com",
    extensions=True,
    timeout_seconds=300,
    databytes=1_000_000,
    max_recipients=3,
    local_ip_host=b"mail.xeris.com",
    local_ips=frozenset({"127.0.0.1"}),
    bad_mail_from=plain_entries({b"bad@x", b"@evil.org"}),
    rcpthosts=frozenset({b"xeris.com", b".sub.org"}),
    rcpthosts_missing=False,
    routes=Routes(
        locals=frozenset({b"xeris.com", b"mail.xeris.com"}),
        virtualdomains={b"virtual.org": b"joni"},
        percenthack=frozenset({b"hack.org"}),
        envnoathost=b"mail.xeris.com",
    ),
)
CLIENT = Client(remote_ip=b"1.2.3.4", local=b"mail.xeris.com")
TLS = replace(CLIENT, tls_offered=True)
AUTH = replace(CLIENT, auth_offered=True)


@dataclass
class Talk:
    """A client, and a world that answers at once; `world` maps a request's type to an answer or an error."""

    policy: Policy = POLICY
    client: Client = CLIENT
    world: dict[type, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.told: list[tuple[Refused, bytes, bytes]] = []
        self.hits: list[tuple[str, bytes]] = []
        self.session = SmtpSession(
            self.policy,
            self.client,
            ORIGIN,
            lambda: 1_086_000_000.0,
            tell=lambda *refusal: self.told.append(refusal),
            hit=lambda *hit: self.hits.append(hit),
        )
        self.out = b""
        self.asked: list[object] = []
        self.effects: list[Effect] = []
        self._take(self.session.connected())

    def say(self, data: bytes) -> bytes:
        """Send bytes and return what is answered."""
        before = len(self.out)
        self._take(self.session.received(data))
        return self.out[before:]

    def line(self, line: bytes) -> bytes:
        return self.say(line + b"\r\n")

    def asked_for(self, kind: type) -> list[object]:
        return [request for request in self.asked if isinstance(request, kind)]

    def _take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, Send):
                self.out += effect.data
            elif isinstance(effect, Ask):
                self._answer(effect.request)

    def _answer(self, request: Any) -> None:
        self.asked.append(request)
        default = 4711 if isinstance(request, Commit) else Exists.OK if isinstance(request, AskRecipient) else None
        answer = self.world.get(type(request), default)
        if isinstance(answer, BaseException):
            self._take(self.session.failed(answer))
        else:
            self._take(self.session.answered(answer))

    @property
    def closed(self) -> bool:
        return any(isinstance(effect, Close) for effect in self.effects)

    def commits(self) -> list[Commit]:
        return [request for request in self.asked if isinstance(request, Commit)]


def recipients(commit: Commit) -> list[bytes]:
    return [recipient.address.raw for recipient in commit.draft.recipients]


TO_STATE = {
    State.START: b"",
    State.MAIL: b"MAIL FROM:<a@b>\r\n",
    State.RCPT: b"MAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\n",
    State.DATA: b"MAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n",
    State.AUTH: b"AUTH LOGIN\r\n",
}

# The reply's beginning in the states START, MAIL and RCPT; which state follows is the table's word.
REPLIES: dict[bytes, tuple[bytes, bytes, bytes]] = {
    b"HELO x": (b"250 mail",) * 3,
    b"EHLO x": (b"250-mail",) * 3,
    b"MAIL FROM:<c@d>": (b"250 ok",) * 3,
    b"MAIL FROM:<c@d> SIZE=1000001": (b"552 ",) * 3,
    b"MAIL FROM:<c@d> SIZE=x": (b"501 ",) * 3,
    b"MAIL FROM:<c@d> BODY=BINARYMIME": (b"501 ",) * 3,
    b"MAIL FROM:<" + b"a" * 900 + b">": (b"555 ",) * 3,
    b"RCPT TO:<joe@xeris.com>": (b"503 MAIL", b"250 ok", b"250 ok"),
    b"RCPT TO:<x@other.org>": (b"503 MAIL", b"553 ", b"553 "),
    b"DATA": (b"503 MAIL", b"503 RCPT", b"354 go"),
    b"RSET": (b"250 flushed",) * 3,
    b"NOOP": (b"250 ok",) * 3,
    b"HELP": (b"214 ",) * 3,
    b"VRFY joni": (b"252 ",) * 3,
    b"EXPN joni": (b"502 ",) * 3,
    b"": (b"502 ",) * 3,
    b"QUIT": (b"221 mail",) * 3,
    b"STARTTLS": (b"220 ",) * 3,
    b"STARTTLS x": (b"501 ",) * 3,
    b"AUTH PLAIN": (b"334 ", b"503 no auth", b"503 no auth"),
    b"AUTH LOGIN": (b"334 ", b"503 no auth", b"503 no auth"),
    b"AUTH CRAM-MD5": (b"504 ", b"503 no auth", b"503 no auth"),
}


@pytest.mark.parametrize("line", REPLIES)
@pytest.mark.parametrize("number", range(3))
def test_every_verb_in_every_command_state(line: bytes, number: int) -> None:
    state = (State.START, State.MAIL, State.RCPT)[number]
    talk = Talk(client=replace(TLS, auth_offered=True))
    talk.say(TO_STATE[state])
    assert talk.session.dialogue.state is state
    reply = talk.line(line)
    assert reply.startswith(REPLIES[line][number])
    accepted = reply[:1] in (b"2", b"3")
    following = TABLE[state][parse_command(line)[0]].next if accepted else state
    assert talk.session.dialogue.state is following


def test_every_verb_of_the_table_is_tried() -> None:
    tried = {parse_command(line)[0] for line in REPLIES}
    for rows in TABLE.values():
        assert set(rows) - {INPUT, TOO_LONG} <= tried


@given(st.sampled_from(list(TO_STATE)), st.lists(st.sampled_from([*REPLIES, b"\0", b".", b"*", b"=", b"x\ny"])))
def test_any_input_in_any_state_is_answered_or_closed(state: State, lines: list[bytes]) -> None:
    talk = Talk(client=AUTH, world={Login: b"ari"})
    talk.say(TO_STATE[state])
    for line in lines:
        if talk.closed:
            break
        reply = talk.line(line)
        assert reply or talk.session.dialogue.state is State.DATA
    assert talk.session.dialogue.then is None


DIALOGUE = (
    b"EHLO x\r\nMAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<joni@xeris.com>\r\nRCPT TO:<x@other.org>\nDATA\r\n"
    b"Received: x\r\n\r\n..dot\r\n.\r\nNOOP\r\nAUTH LOGIN\r\nYXJp\r\ncGFzcw==\r\n"
    b"mail from:a@b\nrcpt to:x@other.org\r\ndata\r\n.\r\n"
    b"MAIL FROM:<bad@x>\r\nRCPT TO:<joni@xeris.com>\r\nbogus\r\nQUIT\r\nNOOP\r\n"
)


def conversation(cuts: Sequence[int]) -> tuple[bytes, list[object]]:
    talk = Talk(client=AUTH, world={Login: b"ari"})
    at = 0
    for cut in [*cuts, len(DIALOGUE)]:
        talk.say(DIALOGUE[at:cut])
        at = cut
    return talk.out, talk.asked


def test_dialogue_cut_at_every_byte_is_the_same() -> None:
    whole = conversation([])
    assert whole[0].count(b"250 ok 1086000000 qp 4711\r\n") == 2
    for cut in range(1, len(DIALOGUE)):
        assert conversation([cut]) == whole, cut
    assert conversation(range(1, len(DIALOGUE))) == whole


def test_what_is_pipelined_behind_a_question_waits_for_its_answer() -> None:
    transaction = SmtpSession(POLICY, CLIENT, ORIGIN, lambda: 0.0)
    transaction.connected()
    [ask] = transaction.received(b"MAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\n")
    assert ask == Ask(Ready())
    assert list(transaction.received(b"NOOP\r\n")) == []
    effects = list(transaction.answered(None))
    assert effects == [Send(replies.OK), Ask(AskRecipient(Address(b"joni@xeris.com")))]
    assert list(transaction.answered(Exists.OK)) == [Send(replies.OK * 2)]


def test_message_and_envelope() -> None:
    talk = Talk()
    talk.say(b"HELO client\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\nRCPT TO:<nodomain>\r\nDATA\r\nx\r\n.\r\n")
    [commit] = talk.commits()
    assert commit.chunk == b"x\n"
    assert commit.draft.sender == Address(b"a@b")
    assert recipients(commit) == [b"joni@xeris.com", b"nodomain"]
    assert commit.draft.prefix == (
        b"Received: from unknown (HELO client) (1.2.3.4)\n  by mail.xeris.com with SMTP; 31 May 2004 10:40:00 -0000\n"
    )


def test_ehlo_announces_what_is_offered() -> None:
    assert Talk().line(b"EHLO x").splitlines() == [
        b"250-mail.xeris.com",
        b"250-PIPELINING",
        b"250-8BITMIME",
        b"250-SMTPUTF8",
        b"250-SIZE 1000000",
        b"250 HELP",
    ]
    assert b"STARTTLS" in Talk(client=TLS).line(b"EHLO x")
    assert b"250-AUTH PLAIN LOGIN\r\n" in Talk(client=AUTH).line(b"EHLO x")
    none = Talk(policy=replace(POLICY, extensions=False), client=AUTH)
    assert none.line(b"EHLO x") == b"250-mail.xeris.com\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    assert none.line(b"AUTH PLAIN") == none.line(b"STARTTLS") == replies.UNIMPLEMENTED


def test_mail_parameters_are_kept() -> None:
    talk = Talk()
    talk.say(
        b"EHLO x\r\nMAIL FROM:<\xc3\xa9@b> BODY=8bitmime SMTPUTF8 SIZE=10\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n.\r\n"
    )
    draft = talk.commits()[0].draft
    assert (draft.parameters, draft.sender.raw) == (MailParameters("8BITMIME", smtputf8=True), b"\xc3\xa9@b")


# --- refusals and bounds ---


def test_bad_recipients_and_senders_are_refused_by_their_entries_and_counted() -> None:
    bad = parse_entries([b"old@xeris.com", b"*-list@xeris.com", b"@*.sub.org", b"!good@*", b"[1]?@xeris.com"])
    policy = replace(POLICY, bad_rcpt_to=bad, bad_mail_from=parse_entries([b"*@*.spam.org", b"!boss@hq.spam.org"]))
    talk = Talk(policy)
    talk.line(b"MAIL FROM:<>")
    for recipient in (b"OLD@xeris.com", b"a-list@Xeris.com", b"x@a.sub.org", b"[1]x@xeris.com"):
        assert talk.line(b"RCPT TO:<" + recipient + b">") == replies.BAD_RCPT_TO
    for recipient in (b"older@xeris.com", b"good@a.sub.org", b"1@xeris.com"):
        assert talk.line(b"RCPT TO:<" + recipient + b">") == replies.OK
    talk.line(b"MAIL FROM:<x@y.spam.org>")
    assert talk.line(b"RCPT TO:<joni@xeris.com>") == replies.BAD_MAIL_FROM
    talk.line(b"MAIL FROM:<boss@hq.spam.org>")
    assert talk.line(b"RCPT TO:<joni@xeris.com>") == replies.OK
    assert talk.hits == [
        ("badrcptto", b"old@xeris.com"), ("badrcptto", b"*-list@xeris.com"), ("badrcptto", b"@*.sub.org"),
        ("badrcptto", b"[1]?@xeris.com"), ("badmailfrom", b"*@*.spam.org"),
    ]  # fmt: skip
    assert [kind for kind, _, _ in talk.told] == [Refused.RECIPIENT] * 5


def test_bad_sender_is_refused_at_each_recipient() -> None:
    talk = Talk()
    for sender in (b"bad@x", b"BAD@X", b"who@evil.org"):
        assert talk.line(b"MAIL FROM:<" + sender + b">") == replies.OK
        assert talk.line(b"RCPT TO:<joni@xeris.com>") == replies.BAD_MAIL_FROM


def test_relay_text_is_appended() -> None:
    talk = Talk(client=replace(CLIENT, relay=b".via"))
    talk.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<x@other.org>\r\nDATA\r\n.\r\n")
    assert recipients(talk.commits()[0]) == [b"x@other.org.via"]


def test_too_many_recipients() -> None:
    talk = Talk()
    talk.line(b"MAIL FROM:<a@b>")
    answers = [talk.line(b"RCPT TO:<joni@xeris.com>") for _ in range(5)]
    assert answers == [replies.OK] * 3 + [replies.TOO_MANY_RECIPIENTS] * 2
    talk.say(b"DATA\r\n.\r\n")
    assert len(talk.commits()[0].draft.recipients) == 3


def test_envelope_is_bounded_in_bytes() -> None:
    talk = Talk(policy=replace(POLICY, max_recipients=100_000))
    talk.line(b"MAIL FROM:<a@b>")
    address = b"RCPT TO:<" + b"\xff" * 880 + b"@xeris.com>"
    answers = [talk.line(address) for _ in range(200)]
    assert answers[0] == replies.OK and answers[-1] == replies.TOO_MANY_RECIPIENTS


@pytest.mark.parametrize(
    ("exists", "answer"),
    [
        (Exists.OK, replies.OK),
        (Exists.UNKNOWN, replies.OK),
        (Exists.NO, replies.NO_MAILBOX),
        (Exists.QUOTA, replies.OVER_QUOTA),
        (BusDown("no answer"), replies.OK),
    ],
)
def test_whether_a_recipient_exists(exists: object, answer: bytes) -> None:
    talk = Talk(world={AskRecipient: exists})
    talk.line(b"MAIL FROM:<a@b>")
    assert talk.line(b"RCPT TO:<joni@xeris.com>") == answer
    # Sub-domains in rcpthosts are not local: nobody is asked.
    assert talk.line(b"RCPT TO:<who@a.sub.org>") == replies.OK


def test_line_too_long_is_skipped_to_its_end_whatever_the_cut() -> None:
    for size in (MAX_COMMAND_BYTES + 1, 100_000):
        talk = Talk()
        for at in range(0, size, 1000):
            assert talk.say(b"x" * min(1000, size - at)) == b""
        assert talk.say(b"\r\nNOOP\r\n") == replies.LINE_TOO_LONG + replies.OK
        assert Talk().say(b"x" * size + b"\r\nNOOP\r\n") == replies.LINE_TOO_LONG + replies.OK


def test_auth_line_may_be_longer() -> None:
    talk = Talk(client=AUTH, world={Login: b"ari"})
    message = base64.b64encode(b"\0ari\0" + b"p" * 3000)
    assert talk.line(b"AUTH PLAIN " + message) == replies.AUTH_OK
    assert Talk(client=AUTH).line(b"AUTH PLAIN " + b"A" * 20_000) == replies.LINE_TOO_LONG


def test_bad_commands_in_a_row_end_the_connection() -> None:
    talk = Talk()
    for _ in range(MAX_BAD_COMMANDS - 1):
        assert talk.line(b"GET / HTTP/1.1") == replies.UNIMPLEMENTED
    assert talk.line(b"GET / HTTP/1.1") == replies.BAD_COMMANDS
    assert talk.closed and talk.line(b"NOOP") == b""


def test_good_commands_between_bad_ones_do_not() -> None:
    talk = Talk()
    for _ in range(3 * MAX_BAD_COMMANDS):
        talk.line(b"bogus")
        talk.line(b"MAIL FROM:<a@b>")
    assert not talk.closed


def test_nul_in_a_command_cuts_it() -> None:
    talk = Talk()
    assert talk.line(b"MAIL FROM:<a@b>\0<c@d>") == replies.OK
    assert talk.line(b"NOOP\0") == replies.OK


# --- addresses and parameters ---

EXACT = replace(POLICY, extensions=False, routes=None)


@pytest.mark.parametrize("octet", [*(octet for octet in range(0x20) if octet != 10), 0x7F])
def test_a_control_character_in_an_address_is_refused_but_as_qmail(octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"X-Injected: yes@xeris.com"
    talk = Talk()
    assert talk.line(b"MAIL FROM:<" + odd + b">") == replies.BAD_SENDER
    assert talk.line(b"MAIL FROM:<a@b>") == replies.OK
    for path in (b"<" + odd + b">", b'<"' + odd + b'">', b"<a\\" + odd + b">", b"<joni@xeris.com" + odd[1:2] + b">"):
        assert talk.line(b"RCPT TO:" + path) == replies.BAD_RECIPIENT
    assert not talk.asked_for(AskRecipient)
    none = Talk(policy=EXACT)
    assert none.line(b"MAIL FROM:<" + odd + b">") == none.line(b"RCPT TO:<" + odd + b">") == replies.OK


@pytest.mark.parametrize("octet", range(0x80, 0x100))
def test_an_8_bit_address_is_taken_as_it_is(octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"@xeris.com"
    talk = Talk()
    assert talk.line(b"MAIL FROM:<" + odd + b">") == talk.line(b"RCPT TO:<" + odd + b">") == replies.OK
    assert talk.asked_for(AskRecipient) == [AskRecipient(Address(odd))]


@pytest.mark.parametrize(
    "path",
    [
        b"<>",
        b"",
        b"<@>",
        b"<@xeris.com>",
        b"<@xeris.com:>",
        b'<""@xeris.com>',
        b"<joni@>",
        b"<@a,@b:@xeris.com>",
        b"@x",
    ],
)
def test_what_is_no_mailbox_is_refused_but_as_qmail(path: bytes) -> None:
    talk = Talk(client=replace(CLIENT, relay=b""))
    talk.line(b"MAIL FROM:<>")
    assert talk.line(b"RCPT TO:" + path) == replies.BAD_RECIPIENT
    assert talk.line(b"DATA") == replies.RCPT_FIRST
    none = Talk(policy=EXACT, client=replace(CLIENT, relay=b""))
    none.line(b"MAIL FROM:<>")
    assert none.line(b"RCPT TO:" + path) == replies.OK


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        (b"<>", replies.OK),
        (b"", replies.OK),
        (b"<@>", replies.BAD_SENDER),
        (b"<@evil.test>", replies.BAD_SENDER),
        (b"<joni@>", replies.BAD_SENDER),
        (b'<""@evil.test>', replies.BAD_SENDER),
        (b"<> SIZE=1 AUTH=a@b", replies.UNKNOWN_PARAMETER),
        (b"<@a,@b:joni@evil.test>", replies.OK),
        (b"<#@[]>", replies.OK),
        (b"joni", replies.OK),
    ],
)
def test_a_path_to_nowhere_is_not_the_null_sender(path: bytes, reply: bytes) -> None:
    assert Talk().line(b"MAIL FROM:" + path) == reply
    assert Talk(policy=EXACT).line(b"MAIL FROM:" + path) == replies.OK


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        (b"nosuch@xeris.com", replies.NO_MAILBOX),
        (b"nosuch@Virtual.org", replies.NO_MAILBOX),
        (b"nosuch%xeris.com@hack.org", replies.NO_MAILBOX),
        (b"nosuch", replies.NO_MAILBOX),
        (b"nosuch%evil.test", replies.NOT_IN_RCPTHOSTS),
        (b"nosuch@evil.test", replies.NOT_IN_RCPTHOSTS),
    ],
)
def test_an_unknown_recipient_is_refused_at_rcpt_whatever_makes_him_ours(recipient: bytes, reply: bytes) -> None:
    hosts = frozenset({b"xeris.com", b"virtual.org", b"hack.org"})
    talk = Talk(policy=replace(POLICY, rcpthosts=hosts), world={AskRecipient: Exists.NO})
    talk.line(b"MAIL FROM:<forged@far.org>")
    assert talk.line(b"RCPT TO:<" + recipient + b">") == reply
    unknown = Talk(policy=replace(POLICY, rcpthosts=hosts), world={AskRecipient: Exists.UNKNOWN})
    unknown.line(b"MAIL FROM:<forged@far.org>")
    expected = replies.OK if reply == replies.NO_MAILBOX else reply
    assert unknown.line(b"RCPT TO:<" + recipient + b">") == expected, "a doubt is no reason to refuse"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (b"MAIL FROM:<a@b> SIZE=10 BODY=8BITMIME SMTPUTF8", True),
        (b"MAIL FROM: <a@b>  size=10 ", True),
        (b"MAIL FROM:<a@b> RET=HDRS", False),
        (b"MAIL FROM:<a@b> ENVID=x SIZE=10", False),
        (b"MAIL FROM:<a@b> XYZZY", False),
        (b"MAIL FROM:<a@b> AUTH=<>", False),
        (b"MAIL FROM:<a@b>>", True),
        (b"RCPT TO:<joni@xeris.com>", True),
        (b"RCPT TO: joni@xeris.com ", True),
        (b"RCPT TO:<joni@xeris.com> NOTIFY=NEVER", False),
        (b"RCPT TO:<joni@xeris.com> ORCPT=rfc822;x@y", False),
        (b"rcpt to:joni@xeris.com notify=success", False),
    ],
)
def test_a_parameter_that_ehlo_does_not_announce_is_555_but_as_qmail(line: bytes, offered: bool) -> None:
    for policy, expected in ((POLICY, offered), (EXACT, True)):
        talk = Talk(policy=policy)
        talk.line(b"EHLO x")
        if line[:4].upper() == b"RCPT":
            talk.line(b"MAIL FROM:<a@b>")
        assert talk.line(line) == (replies.OK if expected else replies.UNKNOWN_PARAMETER)


def test_auth_as_a_parameter_is_taken_where_auth_is_announced() -> None:
    talk = Talk(client=AUTH)
    assert b"AUTH" in talk.line(b"EHLO x")
    assert talk.line(b"MAIL FROM:<a@b> AUTH=a+3Db@c") == replies.OK


# --- what is refused is told ---


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([b"EHLO x", b"MAIL FROM:<a@b>", b"RCPT TO:<joni@xeris.com>", b"DATA"], []),
        ([b"GET / HTTP/1.1"], [(Refused.COMMAND, b"GET / HTTP/1.1", replies.UNIMPLEMENTED)]),
        ([b"RCPT TO:<a@b>"], [(Refused.RECIPIENT, b"RCPT TO:<a@b> from <>", replies.MAIL_FIRST)]),
        (
            [b"MAIL FROM:<a\x1bb@c>"],
            [(Refused.SENDER, b"MAIL FROM:<a\x1bb@c>", replies.BAD_SENDER)],
        ),
        (
            [b"MAIL FROM:<bad@x>", b"RCPT TO:<joni@xeris.com>"],
            [(Refused.RECIPIENT, b"RCPT TO:<joni@xeris.com> from <bad@x>", replies.BAD_MAIL_FROM)],
        ),
        (
            [b"MAIL FROM:<a@b>", b"RCPT TO:<joni@xeris.com>", b"DATA", b"a\nb"],
            [(Refused.MESSAGE, b"DATA from <a@b>", replies.STRAY_NEWLINE)],
        ),
        (
            [b"MAIL FROM:<a@b>", b"RCPT TO:<joni@xeris.com>", b"DATA", b"Received: x\r\n" * 100 + b"\r\n."],
            [(Refused.MESSAGE, b"DATA from <a@b>", replies.TOO_MANY_HOPS)],
        ),
        ([b"STARTTLS"], [(Refused.TLS, b"STARTTLS", replies.TLS_UNAVAILABLE)]),
        ([b"x" * 3000], [(Refused.COMMAND, b"x" * 300, replies.LINE_TOO_LONG)]),
    ],
)
def test_each_reply_that_refuses_is_told(lines: list[bytes], told: list[tuple[Refused, bytes, bytes]]) -> None:
    talk = Talk()
    for line in lines:
        talk.line(line)
    assert talk.told == [(kind, what, why.rstrip()) for kind, what, why in told]


SECRET = b"AGpvbmkAc2VjcmV0"


@pytest.mark.parametrize("client", [CLIENT, TLS, AUTH])
@pytest.mark.parametrize("extensions", [True, False])
@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN " + SECRET],
        [b" AUTH PLAIN " + SECRET],
        [b"AUTHPLAIN " + SECRET],
        [b"AUTH " + SECRET],
        [b"AUTH CRAM-MD5 " + SECRET, SECRET],
        [b"AUTH PLAIN", SECRET, SECRET],
        [b"AUTH LOGIN", b"am9uaQ==", SECRET, SECRET + b"x" * 20_000],
        [b"MAIL FROM:<a@b>", b"auth plain " + SECRET, SECRET],
        [b"AUTH PLAIN", SECRET + b"x" * 20_000, *[SECRET] * 30],
    ],
)
def test_a_password_is_never_told(client: Client, extensions: bool, lines: list[bytes]) -> None:
    talk = Talk(policy=POLICY if extensions else EXACT, client=client)
    for line in lines:
        talk.line(line)
    assert talk.told and not any(SECRET[:8] in what for _, what, _ in talk.told)
    assert talk.told[0][:2] in (
        (Refused.LOGIN, b"AUTH PLAIN"),
        (Refused.LOGIN, b"AUTH"),
        (Refused.LOGIN, b"AUTH LOGIN"),
    )


def test_a_client_who_is_left_waiting_for_is_told_of_as_a_connection() -> None:
    talk = Talk()
    talk.line(b"MAIL FROM:<a@b>")
    talk.session.timed_out()
    assert talk.told == [(Refused.CONNECTION, b"MAIL FROM:<a@b>", replies.TIMEOUT.rstrip())]


# --- DATA ---


def begin(talk: Talk) -> None:
    assert talk.say(TO_STATE[State.DATA]).endswith(replies.GO_AHEAD)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (b"Received: x\r\n" * 100 + b".\r\n", replies.TOO_MANY_HOPS),
        (b"x" * 1_000_000 + b"\r\n.\r\n", replies.TOO_BIG),
        (b"Received: x\r\n" * 100 + b"\r\n" + b"x" * 1_000_000 + b"\r\n.\r\n", replies.TOO_MANY_HOPS),
    ],
)
def test_refused_texts_leave_the_session_open(text: bytes, reply: bytes) -> None:
    talk = Talk()
    begin(talk)
    assert talk.say(text) == reply
    assert talk.commits() == [] and talk.line(b"NOOP") == replies.OK
    assert talk.session.dialogue.state is State.START


def test_ninety_nine_hops_pass() -> None:
    talk = Talk()
    begin(talk)
    assert talk.say(b"Received: x\r\n" * 99 + b".\r\n").startswith(b"250 ok ")


def test_stray_newline_closes_and_later_commands_are_not_obeyed() -> None:
    talk = Talk()
    begin(talk)
    assert talk.say(b"x\n.\nMAIL FROM:<evil@x>\r\n.\r\n") == replies.STRAY_NEWLINE
    assert talk.closed and talk.commits() == []


@pytest.mark.parametrize(
    ("error", "reply", "qmails"),
    [
        (QueueFull("x"), replies.QUEUE_FULL, replies.QQ_DISK_FULL),
        (BusDown("x"), replies.BUS_DOWN, replies.QQ_TEMPORARY),
        (EnvelopeTooLarge("x"), replies.ENVELOPE_TOO_LARGE, replies.QQ_ENVELOPE_TOO_LONG),
        (RuntimeError("x"), replies.LOCAL_ERROR, replies.QQ_BUG),
        (MemoryError(), replies.LOCAL_ERROR, replies.QQ_OUT_OF_MEMORY),
    ],
)
def test_failure_of_the_commit(error: Exception, reply: bytes, qmails: bytes) -> None:
    for policy, expected in ((POLICY, reply), (replace(POLICY, extensions=False), qmails)):
        talk = Talk(policy=policy, world={Commit: error})
        begin(talk)
        assert talk.say(b".\r\n") == expected
        assert talk.line(b"RCPT TO:<joni@xeris.com>") == replies.MAIL_FIRST


def test_not_ready_at_mail() -> None:
    talk = Talk(world={Ready: QueueFull("x")})
    assert talk.line(b"MAIL FROM:<a@b>") == replies.QUEUE_FULL
    assert talk.line(b"RCPT TO:<joni@xeris.com>") == replies.MAIL_FIRST


def test_large_text_leaves_in_parts_and_is_whole() -> None:
    talk = Talk(policy=replace(POLICY, databytes=0))
    begin(talk)
    line = b"." + bytes(range(48, 123)) + b"\r\n"
    wire = b"".join(b"." + line for _ in range(20_000)) + b".\r\n"
    for at in range(0, len(wire), 65_536):
        talk.say(wire[at : at + 65_536])
    parts = [request.chunk for request in talk.asked if isinstance(request, Store)]
    assert len(parts) > 5 and max(map(len, parts)) <= GATHER_BYTES + 65_536
    assert b"".join(parts) + talk.commits()[0].chunk == line.replace(b"\r\n", b"\n") * 20_000


def test_large_text_that_turns_out_too_big_is_dropped_and_read_to_its_end() -> None:
    talk = Talk(policy=replace(POLICY, databytes=900_000))
    begin(talk)
    for _ in range(40):
        assert talk.say(b"x" * 65_536) == b""
    assert [type(request) for request in talk.asked].count(Drop) == 1
    assert talk.say(b"\r\n.\r\n") == replies.TOO_BIG
    assert talk.commits() == []


def test_part_that_cannot_be_stored_is_told_at_the_end() -> None:
    talk = Talk(policy=replace(POLICY, databytes=0), world={Store: QueueFull("x")})
    begin(talk)
    for _ in range(40):
        assert talk.say(b"x" * 65_536) == b""
    assert [type(request) for request in talk.asked].count(Store) == 1
    assert talk.say(b"\r\n.\r\n") == replies.QUEUE_FULL
    assert talk.commits() == []


# --- STARTTLS, AUTH, submission ---


def test_starttls_forgets_everything() -> None:
    talk = Talk(client=TLS)
    talk.line(b"EHLO x")
    talk.line(b"MAIL FROM:<a@b>")
    assert talk.say(b"STARTTLS\r\nRCPT TO:<joni@xeris.com>\r\n") == replies.TLS_READY
    assert isinstance(talk.effects[-1], StartTls)
    assert list(talk.session.tls_started()) == []
    assert talk.session.dialogue.state is State.START and talk.session.dialogue.client.tls
    assert talk.line(b"STARTTLS") == replies.TLS_ALREADY
    assert b"AUTH PLAIN LOGIN" in talk.line(b"EHLO x")


def test_auth_before_tls_is_refused_and_not_announced() -> None:
    talk = Talk(client=TLS)
    assert b"AUTH" not in talk.line(b"EHLO x")
    assert talk.line(b"AUTH PLAIN AGFyaQBhcmlwYXNz") == replies.AUTH_NEEDS_TLS
    assert talk.asked == []


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        ([b"AUTH PLAIN AGFyaQBwYXNz"], replies.AUTH_OK),
        ([b"auth plain", b"AGFyaQBwYXNz"], replies.AUTH_OK),
        ([b"AUTH LOGIN", b"YXJp", b"cGFzcw=="], replies.AUTH_OK),
        ([b"AUTH LOGIN YXJp", b"cGFzcw=="], replies.AUTH_OK),
        ([b"AUTH PLAIN", b"*"], replies.AUTH_CANCELLED),
        ([b"AUTH LOGIN", b"*"], replies.AUTH_CANCELLED),
        ([b"AUTH PLAIN !!!"], replies.AUTH_SYNTAX),
        ([b"AUTH PLAIN ="], replies.AUTH_SYNTAX),
        ([b"AUTH"], replies.AUTH_MECHANISM),
        ([b"AUTH PLAIN AGFyaQBwYXNz", b"AUTH PLAIN AGFyaQBwYXNz"], replies.AUTH_ALREADY),
    ],
)
def test_auth_exchanges(lines: list[bytes], last: bytes) -> None:
    talk = Talk(client=AUTH, world={Login: b"ari"})
    assert [talk.line(line) for line in lines][-1] == last
    for request in talk.asked:
        assert isinstance(request, Login) and (request.user, request.password) == (b"ari", b"pass")
    assert talk.session.dialogue.state is State.START


def test_wrong_password_and_no_answer() -> None:
    assert Talk(client=AUTH, world={Login: None}).line(b"AUTH PLAIN AGFyaQBwYXNz") == replies.AUTH_FAILED
    talk = Talk(client=AUTH, world={Login: BusDown("x")})
    assert talk.line(b"AUTH PLAIN AGFyaQBwYXNz") == replies.AUTH_TEMPORARY


def test_authenticated_user_relays_and_is_named_in_the_envelope() -> None:
    talk = Talk(client=replace(AUTH, tls=True), world={Login: b"ari"})
    talk.say(b"EHLO x\r\nAUTH PLAIN AGFyaQBwYXNz\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@other.org>\r\nDATA\r\n.\r\n")
    draft = talk.commits()[0].draft
    assert draft.origin.account == b"ari" and b" with ESMTPSA; " in draft.prefix


def test_submission_demands_tls_then_auth() -> None:
    talk = Talk(client=replace(TLS, auth_required=True))
    assert talk.line(b"MAIL FROM:<a@b>") == replies.TLS_FIRST
    talk.line(b"STARTTLS")
    talk.session.tls_started()
    assert talk.line(b"MAIL FROM:<a@b>") == replies.AUTH_FIRST


# --- the end ---


def test_timeout_and_stopping() -> None:
    talk = Talk()
    assert list(talk.session.timed_out()) == [Send(replies.TIMEOUT), Close()]
    talk = Talk()
    begin(talk)
    assert list(talk.session.notified(Stopping())) == []
    talk.say(b".\r\n")
    assert list(talk.session.notified(Stopping())) == [Send(replies.STOPPING), Close()]


def test_exit_status_as_tcpserver_logs_it() -> None:
    talk = Talk()
    assert talk.session.dialogue.exit_status == 256
    talk.line(b"QUIT")
    assert talk.session.dialogue.exit_status == 0
