"""The formats of docs/formats.md, byte for byte: a change of either needs a new version, not a new golden file."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.envelope import Envelope, EnvelopeError, Recipient, decode_envelope, encode_envelope
from qmail.place import Place
from services.delivery.wire import Job, decode_confirmed, decode_jobs, encode_heartbeat, encode_reports
from services.queue.message import Channel, Message, decode_state, encode_state
from services.queue.outbox import decode_heartbeat, decode_reports, encode_jobs
from services.queue.ports import Job as QueueJob
from services.queue.ports import Report

GOLDEN = Path(__file__).parents[2] / "golden"

ENVELOPE = Envelope(
    id=217612277476074000,
    time_ms=1795448677476,
    uid=901,
    role="smtpd",
    remote_ip="192.168.1.2",
    remote_host="",
    helo=b"pc\xff",
    account=b"joni",
    size_bytes=3000,
    body_type="8BITMIME",
    smtputf8=True,
    sender=b"j\xc3\xb6ni@xeris.com",
    ret="HDRS",
    envid=b"x1",
    hold_until_ms=0,
    prefix=b"Received: (qmail 217612277476074000 invoked from network); 23 Nov 2026 15:51:17 -0000\n",
    chunk_count=0,
    recipients=(Recipient(b"ari@xeris.com"), Recipient(b"x\x80@far.org", "FAILURE", b"rfc822;x@far.org")),
)
STATE = Message(
    envelope=ENVELOPE,
    place=Place(42, 217612277476073000, 1, 2000),
    held=True,
    channels={"local": Channel(set()), "remote": Channel({1}, attempts=2, due=1795449077)},
    addresses={0: b"ari@xeris.com", 1: b"x\x80@far.org"},
    bounce=b"<sarah@xeris.com>:\nno\n\n",
    bounce_id=7,
    last={1: b"no route\n"},
    saved=True,
)


def test_the_envelope_is_as_in_its_golden_file() -> None:
    golden = (GOLDEN / "envelope-1.json").read_bytes().rstrip(b"\n")
    assert encode_envelope(ENVELOPE) == golden
    assert decode_envelope(golden) == ENVELOPE


def test_the_state_record_is_as_in_its_golden_file() -> None:
    golden = (GOLDEN / "state-1.json").read_bytes().rstrip(b"\n")
    assert encode_state(STATE) == golden
    assert decode_state(golden) == STATE


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"null", b'{"v":2}', b'{"v":1}', b"\xff"])
def test_what_is_no_envelope_is_refused(record: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_envelope(record)
    with pytest.raises(EnvelopeError):
        decode_state(record)


def test_queue_and_worker_understand_each_other() -> None:
    job = QueueJob(7, 0, 1, False, Place(3, 6, 1, 100), b"a\xff@b", b"joni@xeris.com")
    group = decode_jobs(encode_jobs(3, [job]))
    assert group.epoch == 3 and group.jobs == (Job(7, 0, 1, False, Place(3, 6, 1, 100), b"a\xff@b", b"joni@xeris.com"),)
    worker, reports = decode_reports(encode_reports("w", [((7, 0, 1), "K", b"did 1+0+0\n\xff")]))
    assert (worker, reports) == ("w", [Report(7, 0, 1, "K", b"did 1+0+0\n\xff")])
    assert decode_heartbeat(encode_heartbeat("w", [(7, 0, 1)])) == ("w", [(7, 0, 1)], False)
    assert decode_heartbeat(encode_heartbeat("w", [], stopping=True)) == ("w", [], True)
    assert decode_confirmed(b'{"v":1,"epoch":3,"confirmed":[[7,0,1]]}') == [(7, 0, 1)]


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"x", b'{"v":1,"jobs":[[1]]}', b'{"reports":[[1]]}'])
def test_what_is_no_job_or_report_is_refused(payload: bytes) -> None:
    for decode in (decode_jobs, decode_reports, decode_heartbeat, decode_confirmed):
        with pytest.raises(ValueError):
            decode(payload)
