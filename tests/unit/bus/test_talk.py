"""What travels by each subject: its golden bytes decoded and encoded again, and everything else refused in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.talk import ask_rcpt, lost, presence
from qmail.bus.talk.messages import Malformed
from qmail.bus.talk.presence import Presence
from qmail.log.notices import Standing
from qmail.message.address import Address
from qmail.message.envelope import decode_envelope
from qmail.message.existence import Exists
from qmail.queue.deliveries import Confirmation, Heartbeat, Job, JobGroup, RecordPosition, Report, ReportGroup
from qmail.queue.talk import jobs, reports
from services.queue.bounce import talk as bounces
from services.queue.bounce.talk import Answer, BounceRequest, CopyRequest

GOLDEN = Path(__file__).parents[2] / "golden"
KEY = (217612277476074000, 1, 2)
SENDER, RECIPIENT = Address(b"j\xc3\xb6ni@xeris.com"), Address(b"x\x80@far.org")
JOB = Job(*KEY, True, RecordPosition(42, 217612277476073000, 1, 2000), SENDER, RECIPIENT)


@dataclass(frozen=True)
class Form:
    """One form of a conversation: the line of its golden file and what it means."""

    name: str
    file: str
    value: Any
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    line: int = 0

    @property
    def golden(self) -> bytes:
        return (GOLDEN / self.file).read_bytes().splitlines()[self.line]


STOPPING = Heartbeat("w1", (), stopping=True, slow=((217612277476074000, 1),))
FORMS = [
    Form("jobs", "job-1.json", JobGroup(42, (JOB,)), jobs.decode, jobs.encode),
    Form(
        "reports",
        "report-1.json",
        ReportGroup("w1", (Report(*KEY, "Z", b"no route\n\xff"),)),
        reports.decode_reports,
        reports.encode_reports,
    ),
    Form(
        "confirmation",
        "confirm-1.json",
        Confirmation(42, (KEY,)),
        reports.decode_confirmation,
        reports.encode_confirmation,
    ),
    Form("heartbeat", "heartbeat-1.json", Heartbeat("w1", (KEY,)), reports.decode_heartbeat, reports.encode_heartbeat),
    Form("last heartbeat", "heartbeat-1.json", STOPPING, reports.decode_heartbeat, reports.encode_heartbeat, line=1),
]
FORMS += [
    Form(
        "recipient", "ask-rcpt.json", Address(b"j\xf6ni@xeris.com"), ask_rcpt.decode_question, ask_rcpt.encode_question
    ),
    *(
        Form(f"recipient: {found.value}", "ask-rcpt.json", found, ask_rcpt.decode_answer, ask_rcpt.encode_answer, line)
        for line, found in enumerate(Exists, 1)
    ),
]
FORMS += [
    Form(
        "presence",
        "presence-1.json",
        Presence(role="smtpd", host="4f3a", pid=7, seconds=182.5, standing=(Standing("tls", "no key", 12.5),)),
        presence.decode,
        presence.encode,
    ),
    Form("lost records", "lost-1.json", [(42, 44), (50, 50)], lost.decode, lost.encode),
]
BOUNCE = BounceRequest(
    id=KEY[0], held=True, position=JOB.position, bounce_id=7, paragraphs=b"<sarah@xeris.com>:\nno\xff\n\n"
)
ENVELOPE = decode_envelope((GOLDEN / "envelope-1.json").read_bytes())


def bounce_form(line: int, name: str, value: Any) -> Form:
    return Form(name, "bounce.json", value, bounces.decode_bounce, bounces.encode_bounce, line)


def copy_form(line: int, name: str, value: Any) -> Form:
    return Form(name, "bounce.json", value, bounces.decode_copy, bounces.encode_copy, line)


def answer_form(line: int, name: str, value: Any) -> Form:
    return Form(name, "bounce.json", value, bounces.decode_answer, bounces.encode_answer, line)


FORMS += [
    bounce_form(0, "bounce", BOUNCE),
    bounce_form(1, "bounce without a body", replace(BOUNCE, envelope=ENVELOPE)),
    copy_form(2, "copy", CopyRequest(KEY[0], JOB.position)),
    copy_form(3, "copy of a record", CopyRequest(KEY[0], None)),
    answer_form(4, "done", Answer(ok=True)),
    answer_form(5, "discarded", Answer(ok=True, discarded=True)),
    answer_form(6, "missing", Answer(ok=False, missing=True, error="no record has it")),
    answer_form(7, "not now", Answer(ok=False, error="BusDown: no answer in time")),
]
IDS = [form.name for form in FORMS]
GARBAGE = [b"", b"{", b"null", b"[]", b"{}", b"5", b"\xff", b'{"v":1}', b'{"v":2}', b"[" * 100_000, b'{"v":1e999}']


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_message_is_as_in_its_golden_file(form: Form) -> None:
    assert form.decode(form.golden) == form.value
    assert form.encode(form.value) == form.golden


@pytest.mark.parametrize("form", FORMS, ids=IDS)
@pytest.mark.parametrize("payload", GARBAGE)
def test_what_is_no_such_message_is_malformed(form: Form, payload: bytes) -> None:
    with pytest.raises(Malformed, match="not ") as caught:
        form.decode(payload)
    assert str(caught.value)


STRANGE = st.sampled_from([None, True, 1.5, -1, "", "x\u20ac", [], [1], {"x": 1}])


def damaged(value: Any) -> st.SearchStrategy[Any]:
    """A JSON value with something else in the place of one of its parts, or without it."""
    if isinstance(value, dict):
        inside = [damaged(part).map(partial(_replaced, value, key)) for key, part in value.items()]
        removed = [st.just({key: part for key, part in value.items() if key != left}) for left in value]
        return st.one_of(STRANGE, *inside, *removed)
    if isinstance(value, list):
        inside = [damaged(part).map(partial(_replaced, value, index)) for index, part in enumerate(value)]
        return st.one_of(STRANGE, st.just([*value, 1]), *inside)
    return STRANGE


def _replaced(value: Any, key: Any, part: Any) -> Any:
    changed = value.copy()
    changed[key] = part
    return changed


@pytest.mark.parametrize("form", FORMS, ids=IDS)
@given(data=st.data())
def test_a_damaged_message_is_malformed_or_still_of_its_types(form: Form, data: st.DataObject) -> None:
    """What is decoded can be encoded: nobody gets a number that is a text."""
    payload = json.dumps(data.draw(damaged(json.loads(form.golden)))).encode()
    try:
        value = form.decode(payload)
    except Malformed:
        return
    assert form.decode(form.encode(value)) == value


@pytest.mark.parametrize("form", FORMS, ids=IDS)
@given(payload=st.binary(max_size=100))
def test_nothing_breaks_a_decoder(form: Form, payload: bytes) -> None:
    """What is given may be a message: the bytes that the source names are tried as well."""
    try:
        value = form.decode(payload)
    except Malformed:
        return
    assert form.decode(form.encode(value)) == value
