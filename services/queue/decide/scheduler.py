"""The scheduler, qmail-send's heart, without I/O: what comes in, what is started, what is done, what waits.

`step` is the one way in: an event (services.queue.decide.events) gives effects (services.queue.decide.effects), which
whoever calls carries out in order. Source: qmail-send.c; the log lines: qmail-log(5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from qmail.control.routing import LOCAL, REMOTE
from qmail.message.address import Address
from qmail.queue.deliveries import MISSING, Job, Report
from services.queue.decide import effects, events
from services.queue.decide.controls import Controls
from services.queue.decide.deliveries import Deliveries, Key, Workers
from services.queue.decide.message import Channel, QueuedMessage
from services.queue.decide.ready import READY_ENOUGH, READY_MOST, Entry, Ready
from services.queue.decide.schedule import is_dying, next_attempt
from services.queue.decide.shares import Shares, itself
from services.queue.decide.text import GIVING_UP, bounce_paragraph, logged, verp, with_paragraph
from services.queue.decide.waiting import DueTimes, NumberSet

# After a worker died its jobs are tried again this soon: the death says nothing about the message.
LOST_RETRY_SECONDS = 5
CHANNELS = (LOCAL, REMOTE)
# A report's letter in the log.
_WORDS = {"K": "success", "D": "failure"}


class Scheduler:
    """All messages of one deployment that are not done with."""

    def __init__(self, controls: Controls, account_of: Callable[[Address], bytes] = itself) -> None:
        """account_of: whose mailbox the address of a local delivery is."""
        self.controls = controls
        self.messages: dict[int, QueuedMessage] = {}
        # Messages that wait on the bus alone; each costs its numbers here and in the due times, no more.
        self.asleep = NumberSet()
        self.loading: set[int] = set()
        self.paused = False
        self.rebuilt = False
        self._flushed = NumberSet()
        self._due = {name: DueTimes() for name in CHANNELS}
        self._shares: Shares[Entry] = Shares(account_of)
        self._ready = Ready(self._shares, self.messages)
        self._deliveries = Deliveries()
        self._workers = Workers()
        # How many records with the end of a delivery are on their way, by message.
        self._storing: Counter[int] = Counter()
        self._effects: list[effects.Effect] = []

    def step(self, event: events.Event) -> list[effects.Effect]:
        """What follows from an event."""
        follows: list[effects.Effect] = []
        self._effects = follows
        _STEPS[type(event)](self, event)
        return follows

    # Questions.

    def status_line(self) -> str:
        """`status: local 0/10 remote 0/20`."""
        use, most = self._deliveries.in_use, self.controls.concurrency
        return f"status: local {use['local']}/{most['local']} remote {use['remote']}/{most['remote']}"

    def running(self) -> int:
        return len(self._deliveries)

    def has(self, message_id: int) -> bool:
        """Whether the message is in the queue."""
        return message_id in self.messages or message_id in self.asleep

    def is_over(self, message: QueuedMessage, now: int) -> bool:
        """Whether queuelifetime has passed since the message was accepted."""
        return is_dying(message.birth, now, self.controls.lifetime_seconds)

    def can_set_aside(self, message_id: int) -> bool:
        """Whether the message is in the queue and nothing of it runs."""
        message = self.messages.get(message_id)
        if message is None:
            return message_id in self.asleep
        return not any(channel.running for channel in message.channels.values())

    # What comes in.

    def _accepted(self, event: events.Accepted) -> None:
        message = self._routed(event)
        self._log_new(message)
        self.messages[message.id] = message
        if not message.channels:
            self._finish(message)
            return
        due = max(event.now, event.envelope.parameters.hold_until_ms // 1000)
        for name, channel in message.channels.items():
            self._begin(message, name, channel, due, event.now)
        if not any(channel.ready for channel in message.channels.values()) and self._is_crowded(message):
            self._store_state(message, None)

    def _is_crowded(self, message: QueuedMessage) -> bool:
        return any(self._ready.waiting(name) >= READY_MOST for name in message.channels)

    def _routed(self, event: events.Accepted) -> QueuedMessage:
        message = QueuedMessage(event.envelope, event.position)
        for number, recipient in enumerate(event.envelope.recipients):
            route = self.controls.routes.route(recipient.address)
            message.addresses[number] = route.address
            if number not in event.done:
                message.channel(route.channel).undone.add(number)
        return message

    def _log_new(self, message: QueuedMessage) -> None:
        e = message.envelope
        size = e.size_bytes + len(e.prefix)
        info = f"info msg {e.id}: bytes {size} from <{logged(e.sender.raw)}> qp {e.id} uid {e.origin.uid}"
        self._log(f"new msg {e.id}", info)

    def _begin(self, message: QueuedMessage, name: str, channel: Channel, due: int, now: int) -> None:
        if due > now or self._ready.waiting(name) >= READY_MOST:
            self._wait(message, name, channel, due)
        else:
            self._begin_attempt(message, name, channel, now)

    def _begin_attempt(self, message: QueuedMessage, name: str, channel: Channel, now: int) -> None:
        channel.dying = self.is_over(message, now)
        self._ready.begin(message, name, channel)

    # What is started.

    def _proceed(self, event: events.Proceed | events.SecondPassed) -> None:
        if self.rebuilt:
            self._begin_due(event.now)
        self._start_ready(event.monotonic)

    def _begin_due(self, now: int) -> None:
        """Begin the attempts that are due, as far as there is room for them."""
        for name, waiting in self._due.items():
            while self._ready.waiting(name) + len(self.loading) < READY_ENOUGH:
                entry = waiting.pop(now)
                if entry is None:
                    break
                due, message_id = entry
                if message_id in self.asleep:
                    self._read(message_id)
                else:
                    self._begin_if_due(message_id, name, due, now)

    def _begin_if_due(self, message_id: int, name: str, due: int, now: int) -> None:
        message = self.messages.get(message_id)
        channel = message.channels.get(name) if message is not None else None
        if message is None or channel is None:
            return
        if channel.due == due and channel.undone and not channel.is_busy():
            self._begin_attempt(message, name, channel, now)

    def _start_ready(self, monotonic: float) -> None:
        """Start what waits, as far as concurrency, the accounts' shares and workers allow."""
        most, in_use = self.controls.concurrency, self._deliveries.in_use
        self._ready.release(most[LOCAL])
        for name in CHANNELS:
            if not self.paused and self._workers.are_there(name):
                for message, number in self._ready.to_start(name, most[name], in_use):
                    self._start(message, number, name, monotonic)

    def _start(self, message: QueuedMessage, number: int, name: str, monotonic: float) -> None:
        channel = message.channels[name]
        attempt = channel.attempts + 1
        delivery = self._deliveries.begin((message.id, number), name, attempt, monotonic)
        channel.start(number)
        recipient = message.addresses[number]
        to = logged(recipient.raw)
        self._log(f"starting delivery {delivery}: msg {message.id} to {name} {to}", self.status_line())
        sender = verp(message.envelope.sender, recipient)
        job = Job(message.id, number, attempt, message.held, message.position, sender, recipient)
        self._effects.append(effects.StartJob(name, job))

    # What ends.

    def _reported(self, event: events.Reported) -> None:
        group = event.group
        missing = set()
        for report in group.reports:
            self._take_report(effects.Confirm(event.channel, group.worker, report), event.now)
            if report.letter == MISSING:
                missing.add(report.id)
        self._effects += map(effects.LookFor, missing)

    def _take_report(self, confirm: effects.Confirm, now: int) -> None:
        """Until it is confirmed, the worker repeats it."""
        report = confirm.report
        message = self.messages.get(report.id)
        if message is None:
            if not self.rebuilt:
                return
            if report.id in self.asleep:
                self._read(report.id)
                return
        if message is not None and self._tells_news(message, confirm.channel, report):
            self._end_delivery(message, confirm, now)
        elif report.id not in self._storing:
            # What tells nothing new may have been told by a report whose record is on its way.
            self._effects.append(confirm)

    def _tells_news(self, message: QueuedMessage, name: str, report: Report) -> bool:
        channel = message.channels.get(name)
        if channel is None or report.number not in channel.undone:
            return False
        delivery = self._deliveries.get((report.id, report.number))
        # An older attempt that failed says nothing about the one that runs or waits now.
        return report.letter == "K" or (delivery is not None and delivery.attempt == report.attempt)

    def _end_delivery(self, message: QueuedMessage, confirm: effects.Confirm, now: int) -> None:
        report, name = confirm.report, confirm.channel
        channel = message.channels[name]
        delivery = self._release((message.id, report.number), channel)
        letter, text = report.letter, report.text
        if letter == "Z" and channel.dying:
            letter, text = "D", text + GIVING_UP
        self._log(f"delivery {delivery}: {_WORDS.get(letter, 'deferral')}: {logged(text)}", self.status_line())
        self._note_end(message, channel, report.number, letter, text)
        if not channel.undone or not channel.is_busy():
            # Every recipient of the attempt has ended: the rest waits for the next.
            channel.attempts += 1
            if channel.undone:
                self._wait(message, name, channel, next_attempt(message.birth, now, name))
        if letter == "K" and not message.saved and not message.bounce:
            self._storing[message.id] += 1
            self._effects.append(effects.StoreDone(message, report.number, confirm))
        else:
            self._store_state(message, confirm)
        if message.is_done():
            self._finish(message)

    def _note_end(self, message: QueuedMessage, channel: Channel, number: int, letter: str, text: bytes) -> None:
        if letter not in _WORDS:
            message.last[number] = text[:1000]
            return
        channel.undone.discard(number)
        message.last.pop(number, None)
        if letter == "D":
            message.failed = True
            address = self.controls.routes.without_prefix(message.addresses[number])
            message.bounce = with_paragraph(message.bounce, bounce_paragraph(address, text))

    def _release(self, key: Key, channel: Channel) -> int:
        self._shares.ended(key)
        channel.stop(key[1])
        return self._deliveries.end(key)

    def _wait(self, message: QueuedMessage, name: str, channel: Channel, due: int) -> None:
        channel.due = due
        self._due[name].push(due, message.id)

    def _store_state(self, message: QueuedMessage, confirm: effects.Confirm | None) -> None:
        message.saved = True
        self._storing[message.id] += 1
        self._effects.append(effects.StoreState(message, confirm))

    def _finish(self, message: QueuedMessage) -> None:
        if message.bounce and not message.bouncing:
            message.bouncing = True
            self._effects.append(effects.WriteBounce(message))
        elif not message.bounce:
            self._forget(message)

    def _bounced(self, event: events.Bounced) -> None:
        self._log(event.line)
        self._forget(event.message)

    def _forget(self, message: QueuedMessage) -> None:
        self._log(f"end msg {message.id}")
        self.messages.pop(message.id, None)
        self._end(message)

    def _end(self, message: QueuedMessage) -> None:
        self._effects.append(effects.Forget(message.id))
        if message.saved or not message.envelope.recipients:
            self._effects.append(effects.StoreEnd(message))

    def _stored(self, event: events.Stored) -> None:
        effect, message = event.effect, event.effect.message
        if isinstance(effect, effects.StoreEnd):
            self._effects.append(effects.Clean(message))
            return
        self._storing[message.id] -= 1
        last = not self._storing[message.id]
        if last:
            del self._storing[message.id]
        if effect.confirm is not None:
            self._effects.append(effect.confirm)
        if isinstance(effect, effects.StoreState):
            self._effects.append(effects.LetSleep(message))
        elif last and message.is_done() and not message.saved:
            self._effects.append(effects.Clean(message))

    # What sleeps.

    def _read(self, message_id: int) -> None:
        if message_id not in self.loading:
            self.loading.add(message_id)
            self._effects.append(effects.Read(message_id))

    def _need(self, event: events.Needed) -> None:
        if event.message_id in self.asleep:
            self._read(event.message_id)

    def _flush(self, event: events.Flushed) -> None:
        self._flushed = self.asleep.copy()
        for message in self.messages.values():
            for channel in message.channels.values():
                channel.due = event.now
        for waiting in self._due.values():
            waiting.hasten(event.now)
        self._begin_due(event.now)

    def _sleep(self, event: events.Slept) -> None:
        message = event.message
        busy = message.bouncing or any(channel.is_busy() for channel in message.channels.values())
        if message.saved and not busy and self.messages.get(message.id) is message:
            del self.messages[message.id]
            self.asleep.add(message.id)

    def _wake(self, event: events.Woken) -> None:
        message = event.message
        self.loading.discard(message.id)
        if message.id not in self.asleep:
            return
        self.asleep.discard(message.id)
        if message.id in self._flushed:
            self._flushed.discard(message.id)
            for channel in message.channels.values():
                channel.due = min(channel.due, event.now)
        self._resume(message, event.now)

    def _resume(self, message: QueuedMessage, now: int) -> None:
        """Its channels go on when they are due."""
        self.messages[message.id] = message
        if message.is_done():
            self._finish(message)
            return
        for name, channel in message.channels.items():
            if channel.undone:
                self._begin(message, name, channel, channel.due, now)

    def _set_aside(self, event: events.SetAside) -> None:
        self.messages.pop(event.message_id, None)
        for numbers in (self.asleep, self._flushed, self.loading):
            numbers.discard(event.message_id)

    def _give_up(self, event: events.GivenUp) -> None:
        self._end(event.message)

    # After a restart.

    def _remember(self, event: events.Remembered) -> None:
        self.asleep.take(event.numbers)
        for name, times in event.dues.items():
            self._due[name].take(times)

    def _adopt(self, event: events.Adopted) -> None:
        message, number = self.messages.get(event.message_id), event.number
        if message is None or self._deliveries.get((message.id, number)) is not None:
            return
        owner = next((c for c in message.channels.values() if number in c.undone), None)
        if owner is None:
            return
        # Where locals have changed since, it is still in the channel that it was in.
        owner.undone.discard(number)
        owner.stop(number)
        theirs = message.channel(event.channel)
        theirs.undone.add(number)
        theirs.start(number)
        self._deliveries.begin((message.id, number), event.channel, event.attempt, event.monotonic)

    def _rebuilt(self, _: events.Rebuilt) -> None:
        self.rebuilt = True

    # Workers.

    def _heard(self, event: events.Beat) -> None:
        beat = event.heartbeat
        changed = self._workers.hear(event.channel, beat.worker, event.monotonic, stopping=beat.stopping)
        self._deliveries.named(beat.running, event.monotonic)
        fresh = event.channel == LOCAL and self._note_slow(beat.slow)
        if changed or fresh:
            self._start_ready(event.monotonic)

    def _note_slow(self, slow: Sequence[Key]) -> bool:
        """Whether any of them was not known to take long."""
        fresh = False
        for key in slow:
            message, delivery = self.messages.get(key[0]), self._deliveries.get(key)
            if message is not None and delivery is not None and delivery.channel == LOCAL:
                fresh = self._shares.slowed(key, message.addresses[key[1]]) or fresh
        return fresh

    def _second_passed(self, event: events.SecondPassed) -> None:
        self._workers.forget_silent(event.monotonic)
        if event.deaf:
            # It is us who did not hear: what the workers said meanwhile comes after this.
            self._deliveries.excuse(event.monotonic)
        elif self.rebuilt:
            self._defer_silent(event)
        self._proceed(event)

    def _defer_silent(self, event: events.SecondPassed) -> None:
        """Jobs of workers that fell silent are deferred: whether they were done is unknown."""
        for key, entry in self._deliveries.silent(event.monotonic):
            message = self.messages[key[0]]
            channel = message.channels[entry.channel]
            program = "qmail-lspawn" if entry.channel == LOCAL else "qmail-rspawn"
            delivery = self._release(key, channel)
            deferral = f"delivery {delivery}: deferral: {program}_went_silent;_will_try_again._(#4.3.0)/"
            self._log(deferral, self.status_line())
            if not channel.is_busy():
                channel.attempts += 1
                self._wait(message, entry.channel, channel, event.now + LOST_RETRY_SECONDS)

    # The administrator.

    def _pause(self, event: events.Paused) -> None:
        self.paused = event.paused

    def _reload(self, event: events.Reloaded) -> None:
        self.controls = event.controls
        self._log(self.status_line())

    def _log(self, *lines: str) -> None:
        self._effects.append(effects.Log(lines))


_STEPS: dict[type[events.Event], Callable[[Scheduler, Any], None]] = {
    events.Accepted: Scheduler._accepted,
    events.Proceed: Scheduler._proceed,
    events.Reported: Scheduler._reported,
    events.Stored: Scheduler._stored,
    events.Bounced: Scheduler._bounced,
    events.Beat: Scheduler._heard,
    events.SecondPassed: Scheduler._second_passed,
    events.Flushed: Scheduler._flush,
    events.Needed: Scheduler._need,
    events.Slept: Scheduler._sleep,
    events.Woken: Scheduler._wake,
    events.SetAside: Scheduler._set_aside,
    events.GivenUp: Scheduler._give_up,
    events.Remembered: Scheduler._remember,
    events.Adopted: Scheduler._adopt,
    events.Rebuilt: Scheduler._rebuilt,
    events.Paused: Scheduler._pause,
    events.Reloaded: Scheduler._reload,
}
