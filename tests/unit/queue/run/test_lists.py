"""One message to many recipients costs as much for each of them as one to a few: counted, not timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qmail.bus import subjects
from qmail.bus.ports import Stored
from qmail.message.envelope import Envelope
from tests.support.memory_bus import MemoryBus
from tests.support.warp import run, until
from tests.unit.queue.run.test_service import Answers, House


class Costs:
    """How often an envelope was decoded or made, and what was read of the bus."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.envelopes = 0
        self.reads: list[str] = []
        make, last = Envelope.__init__, MemoryBus.last

        def making(envelope: Envelope, *fields: Any, **named: Any) -> None:
            self.envelopes += 1
            make(envelope, *fields, **named)

        async def reading(bus: MemoryBus, stream: str, subject: str) -> Stored | None:
            self.reads.append(subject.partition(".")[0])
            return await last(bus, stream, subject)

        monkeypatch.setattr(Envelope, "__init__", making)
        monkeypatch.setattr(MemoryBus, "last", reading)


@pytest.mark.parametrize(
    ("recipients", "of_queue", "of_worker"),
    [(2, [], ["in"]), (300, [], ["in"]), (2000, ["envelope"], ["in", "envelope"])],
)
def test_a_message_is_read_and_decoded_once_however_many_recipients_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipients: int, of_queue: list[str], of_worker: list[str]
) -> None:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    (tmp_path / "locals").write_text("xeris.com\n")

    async def work() -> None:
        house, answers = House(tmp_path), Answers()
        service, _ = await house.scheduler()
        await house.worker(answers)
        await until(lambda: service.ready)
        costs = Costs(monkeypatch)
        await house.put(*[f"member{number:04d}" for number in range(recipients)])
        await until(lambda: len(answers.done) == recipients and service.is_quiet())
        assert len(set(answers.done)) == recipients
        # One is what the submitter makes.
        assert costs.envelopes == 1 + 1 + 1
        assert costs.reads == of_queue + of_worker

    run(work())


def test_the_largest_of_these_lists_does_not_fit_a_header(tmp_path: Path) -> None:
    """Or the row above would try nothing else than the one before it."""
    (tmp_path / "me").write_text("mail.xeris.com\n")

    async def work() -> None:
        house = House(tmp_path)
        await house.put(*[f"member{number:04d}" for number in range(2000)])
        [stored] = house.bus.streams[subjects.IN].records.values()
        assert stored.headers[subjects.ENVELOPE_HEADER] == subjects.ELSEWHERE

    run(work())
