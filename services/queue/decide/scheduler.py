"""The scheduler, qmail-send's heart, without I/O: what comes in, what is started, what is done, what waits.

Times are seconds since the epoch, given by the caller. Source: qmail-send.c; the log lines: qmail-log(5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qmail.message.address import Address
from qmail.message.envelope import Envelope
from qmail.queue.record_position import Place
from qmail.queue.talk.jobs import Job
from qmail.queue.talk.reports import SILENCE_SECONDS, Report
from services.queue.decide.message import Channel, Message
from services.queue.decide.ports import Out
from services.queue.decide.schedule import is_dying, next_attempt
from services.queue.decide.shares import Shares, itself
from services.queue.decide.text import GIVING_UP, bounce_paragraph, logged, verp, with_paragraph
from services.queue.decide.waiting import DueTimes, NumberSet
from services.queue.settings import Order

# After a worker died its jobs are tried again this soon: the death says nothing about the message.
LOST_RETRY_SECONDS = 5
# A channel with so much to start reads no more of what sleeps: a flush must not bring the whole queue into memory.
READY_ENOUGH = 1000
# With so much to start, new messages wait on the bus as well: a backlog must not outgrow the memory.
READY_MOST = 50_000


@dataclass(slots=True)
class _Running:
    delivery: int  # qmail's delivery number
    channel: str
    worker: str
    attempt: int
    heard: float  # by a clock that nobody sets (time.monotonic)


class Scheduler:
    """All messages of one deployment that are not done with.

    `now` is the time of day. `uptime` is a clock that nobody sets: whether a worker is alive must not depend on
    the date."""

    def __init__(self, *, order: Order, out: Out, account_of: Callable[[Address], bytes] = itself) -> None:
        """account_of: whose mailbox the address of a local delivery is."""
        self.order = order
        self._shares: Shares[tuple[Message, int]] = Shares(account_of)
        self._out = out
        self.messages: dict[int, Message] = {}
        self._ready: dict[str, deque[tuple[Message, int]]] = {"local": deque(), "remote": deque()}
        self._running: dict[tuple[int, int], _Running] = {}
        self._in_use = {"local": 0, "remote": 0}
        self._due = {"local": DueTimes(), "remote": DueTimes()}
        # Messages that wait on the bus alone; each costs its numbers here and in the due times, no more.
        self.asleep = NumberSet()
        self.loading: set[int] = set()
        self._flushed = NumberSet()
        self._deliveries = 0
        self.paused = False
        self.accepting_work = {"local": False, "remote": False}

    def obey(self, order: Order) -> None:
        """From now on: what runs goes on, what waits is routed as it was, and is tried as long as is said now."""
        self.order = order
        self._log_status()

    # What comes in.

    def accept(self, envelope: Envelope, place: Place, now: int) -> None:
        """A new message: route its recipients, log it, start what can be started.

        Where it cannot be routed or logged, whatever that raises is raised, and the message is unknown here."""
        message = Message(envelope, place)
        for number, recipient in enumerate(envelope.recipients):
            route = self.order.routes.route(recipient.address)
            message.addresses[number] = route.address
            channel = message.channels.get(route.channel)
            if channel is None:
                channel = message.channels[route.channel] = Channel(set())
            channel.undone.add(number)
        self._log_new(message)
        self.messages[message.id] = message
        if not message.channels:
            self._finish(message)
            return
        crowded = any(self._waiting(name) >= READY_MOST for name in message.channels)
        for name, channel in message.channels.items():
            self._begin(message, name, channel, max(now, envelope.parameters.hold_until_ms // 1000), now)
        if crowded and not any(channel.ready for channel in message.channels.values()):
            message.saved = True
            self._out.save(message, "", "", [])

    def _log_new(self, message: Message) -> None:
        e = message.envelope
        self._out.log(f"new msg {e.id}")
        size = e.size_bytes + len(e.prefix)
        sender = logged(e.sender.raw)
        self._out.log(f"info msg {e.id}: bytes {size} from <{sender}> qp {e.id} uid {e.origin.uid}")

    def resume(self, message: Message, now: int) -> None:
        """A message from before a restart: its channels go on when they are due."""
        self.messages[message.id] = message
        if message.is_done():
            self._finish(message)
            return
        for name, channel in message.channels.items():
            if channel.undone:
                self._begin(message, name, channel, channel.due, now)

    def adopt(self, channel: str, worker: str, message_id: int, number: int, attempt: int, uptime: float) -> None:
        """A job of the scheduler before us still runs: it holds its place until its report comes."""
        message = self.messages.get(message_id)
        if message is None or (message_id, number) in self._running:
            return
        owner = next((c for c in message.channels.values() if number in c.undone), None)
        if owner is None:
            return
        # Where locals have changed since, it is still in the channel that it was in.
        owner.undone.discard(number)
        if number in owner.ready:
            owner.ready.remove(number)
        theirs = message.channels.setdefault(channel, Channel(set()))
        theirs.undone.add(number)
        theirs.running.add(number)
        self._deliveries += 1
        self._running[message_id, number] = _Running(self._deliveries, channel, worker, attempt, uptime)
        self._in_use[channel] += 1

    def _begin(self, message: Message, name: str, channel: Channel, due: int, now: int) -> None:
        if due > now or self._waiting(name) >= READY_MOST:
            channel.due = due
            self._due[name].push(due, message.id)
        else:
            self._pass(message, name, channel, now)

    def _pass(self, message: Message, name: str, channel: Channel, now: int) -> None:
        """Begin an attempt at every undone recipient of the channel."""
        channel.dying = is_dying(message.birth, now, self.order.lifetime_seconds)
        channel.ready = sorted(channel.undone - channel.running)
        queue = self._ready[name]
        for number in channel.ready:
            queue.append((message, number))

    # What is started.

    def pump(self, uptime: float) -> None:
        """Start what waits, as far as concurrency, the accounts' shares and workers allow."""
        self._release_held()
        for name in ("local", "remote"):
            queue = self._ready[name]
            while queue and not self.paused and self.accepting_work[name]:
                if self._busy(name) >= self.order.concurrency[name]:
                    break
                message, number = queue.popleft()
                channel = message.channels[name]
                waits = number in channel.undone and number not in channel.running
                if not waits or self.messages.get(message.id) is not message or self._is_held(name, message, number):
                    continue
                self._start(message, name, channel, number, uptime)

    def _busy(self, name: str) -> int:
        """Places that are taken. Slow local deliveries have as many of their own as the channel has."""
        apart = min(self._shares.slow, self.order.concurrency[name]) if name == "local" else 0
        return self._in_use[name] - apart

    def _is_held(self, name: str, message: Message, number: int) -> bool:
        most = self.order.concurrency[name]
        return name == "local" and self._shares.hold((message, number), message.addresses[number], most)

    def _waiting(self, name: str) -> int:
        return len(self._ready[name]) + (self._shares.held if name == "local" else 0)

    def _release_held(self) -> None:
        if self._shares.held:
            self._ready["local"].extendleft(reversed([*self._shares.released(self.order.concurrency["local"])]))

    def _start(self, message: Message, name: str, channel: Channel, number: int, uptime: float) -> None:
        self._deliveries += 1
        attempt = channel.attempts + 1
        self._running[message.id, number] = _Running(self._deliveries, name, "", attempt, uptime)
        self._in_use[name] += 1
        channel.running.add(number)
        if number in channel.ready:
            channel.ready.remove(number)
        recipient = message.addresses[number]
        self._out.log(f"starting delivery {self._deliveries}: msg {message.id} to {name} {logged(recipient.raw)}")
        self._log_status()
        sender = verp(message.envelope.sender, recipient)
        self._out.start_job(name, Job(message.id, number, attempt, message.held, message.place, sender, recipient))

    def _log_status(self) -> None:
        self._out.log(self.status_line())

    def status_line(self) -> str:
        """`status: local 0/10 remote 0/20`."""
        use, most = self._in_use, self.order.concurrency
        return f"status: local {use['local']}/{most['local']} remote {use['remote']}/{most['remote']}"

    # What ends.

    def report(self, channel_name: str, worker: str, reports: Iterable[Report], now: float) -> None:
        """Deliveries ended. Reports that tell nothing new are confirmed and forgotten."""
        for report in reports:
            if report.id in self.asleep:
                # The worker repeats the report until the message has been read again.
                self._load(report.id)
                continue
            message = self.messages.get(report.id)
            channel = message.channels.get(channel_name) if message is not None else None
            if message is None or channel is None or report.number not in channel.undone:
                self._out.confirm(channel_name, worker, report)
                continue
            running = self._running.get((report.id, report.number))
            if report.letter != "K" and (running is None or running.attempt != report.attempt):
                # An older attempt that failed says nothing about the one that runs or waits now.
                self._out.confirm(channel_name, worker, report)
                continue
            self._ended(message, channel_name, channel, worker, report, now)

    def _ended(self, message: Message, name: str, channel: Channel, worker: str, report: Report, now: float) -> None:
        delivery = self._release(message, name, channel, report.number)
        text = report.text
        letter = report.letter
        if letter == "Z" and channel.dying:
            letter, text = "D", text + GIVING_UP
        words = {"K": "success", "D": "failure"}.get(letter, "deferral")
        self._out.log(f"delivery {delivery}: {words}: {logged(text)}")
        self._log_status()
        if letter == "K":
            channel.undone.discard(report.number)
            message.last.pop(report.number, None)
        elif letter == "D":
            message.failed = True
            channel.undone.discard(report.number)
            message.last.pop(report.number, None)
            address = self.order.routes.without_prefix(message.addresses[report.number])
            message.bounce = with_paragraph(message.bounce, bounce_paragraph(address, text))
        else:
            message.last[report.number] = text[:1000]
        if not channel.undone or not (channel.running or channel.ready):
            self._pass_over(message, name, channel, int(now))
        if letter == "K" and not message.saved and not message.bounce:
            self._out.recipient_done(message, report.number, name, worker, report)
        else:
            message.saved = True
            self._out.save(message, name, worker, [report])
        if message.is_done():
            self._finish(message)

    def _release(self, message: Message, name: str, channel: Channel, number: int) -> int:
        running = self._running.pop((message.id, number), None)
        self._shares.ended((message.id, number))
        channel.running.discard(number)
        if number in channel.ready:
            channel.ready.remove(number)
        if running is None:
            self._deliveries += 1
            return self._deliveries
        self._in_use[name] -= 1
        return running.delivery

    def _pass_over(self, message: Message, name: str, channel: Channel, now: int) -> None:
        """Every recipient of the attempt has ended: the rest waits for the next."""
        channel.attempts += 1
        if channel.undone:
            channel.due = next_attempt(message.birth, now, name)
            self._due[name].push(channel.due, message.id)

    def _finish(self, message: Message) -> None:
        if message.bounce and not message.bouncing:
            message.bouncing = True
            self._out.bounce(message)
            return
        if not message.bounce:
            self._forget(message)

    def bounced(self, message: Message, line: str) -> None:
        """The bounce is on the bus, or there was nobody to send it to: `line` says which."""
        self._out.log(line)
        self._forget(message)

    def _forget(self, message: Message) -> None:
        self._out.log(f"end msg {message.id}")
        self.messages.pop(message.id, None)
        self._out.ended(message)

    # Time.

    def tick(self, now: int) -> None:
        """Begin the attempts that are due, as far as there is room for them."""
        for name, waiting in self._due.items():
            while self._waiting(name) + len(self.loading) < READY_ENOUGH:
                entry = waiting.pop(now)
                if entry is None:
                    break
                due, message_id = entry
                if message_id in self.asleep:
                    self._load(message_id)
                else:
                    self._begin_due(message_id, name, due, now)

    def _begin_due(self, message_id: int, name: str, due: int, now: int) -> None:
        message = self.messages.get(message_id)
        channel = message.channels.get(name) if message is not None else None
        if message is None or channel is None:
            return
        if channel.due == due and channel.undone and not (channel.ready or channel.running):
            self._pass(message, name, channel, now)

    def _load(self, message_id: int) -> None:
        if message_id not in self.loading:
            self.loading.add(message_id)
            self._out.load(message_id)

    def flush(self, now: int) -> None:
        """SIGALRM: everything that waits is due now (qmail-send(8))."""
        self._flushed = self.asleep.copy()
        for message in self.messages.values():
            for channel in message.channels.values():
                channel.due = now
        for waiting in self._due.values():
            waiting.hasten(now)
        self.tick(now)

    def sleep(self, message: Message) -> bool:
        """Forget a message that waits and whose record is stored; it is loaded again when it is due."""
        busy = any(c.ready or c.running for c in message.channels.values())
        if busy or message.bouncing or not message.saved or self.messages.get(message.id) is not message:
            return False
        del self.messages[message.id]
        self.asleep.add(message.id)
        return True

    def adopt_asleep(self, numbers: NumberSet, dues: dict[str, DueTimes]) -> None:
        """Messages from before a restart that need not be in memory until they are due."""
        self.asleep.take(numbers)
        for name, times in dues.items():
            self._due[name].take(times)

    def lost_asleep(self, message_id: int) -> None:
        """The record of a message that slept cannot be read."""
        self.asleep.discard(message_id)
        self._flushed.discard(message_id)
        self.loading.discard(message_id)

    def set_aside(self, message_id: int) -> bool:
        """Forget a message though it has not ended; False where something of it runs, or there is none."""
        message = self.messages.get(message_id)
        if message is None and message_id not in self.asleep:
            return False
        if message is not None and any(channel.running for channel in message.channels.values()):
            return False
        self.messages.pop(message_id, None)
        self.lost_asleep(message_id)
        return True

    def is_over(self, message: Message, now: int) -> bool:
        """Whether queuelifetime has passed since the message was accepted."""
        return is_dying(message.birth, now, self.order.lifetime_seconds)

    def wake(self, message: Message, now: int) -> None:
        """A message that slept has been read: what is due begins, what was flushed is due."""
        self.loading.discard(message.id)
        if message.id not in self.asleep:
            return
        self.asleep.discard(message.id)
        if message.id in self._flushed:
            self._flushed.discard(message.id)
            for channel in message.channels.values():
                channel.due = min(channel.due, now)
        self.resume(message, now)

    # Workers.

    def heartbeat(self, channel: str, worker: str, running: Iterable[tuple[int, int, int]], uptime: float) -> None:
        """A worker names what it runs."""
        for message_id, number, attempt in running:
            entry = self._running.get((message_id, number))
            if entry is not None and entry.attempt == attempt:
                entry.heard, entry.worker = uptime, worker

    def slowed(self, slow: Iterable[tuple[int, int]], uptime: float) -> None:
        """A worker of the local channel names deliveries (message and recipient number) that take long."""
        fresh = False
        for key in slow:
            message = self.messages.get(key[0])
            running = self._running.get(key)
            if message is not None and running is not None and running.channel == "local":
                fresh = self._shares.slowed(key, message.addresses[key[1]]) or fresh
        if fresh:
            self.pump(uptime)

    def excuse(self, uptime: float) -> None:
        """Nobody can be heard: their silence says nothing until they can be again."""
        for entry in self._running.values():
            entry.heard = uptime

    def lose(self, now: float, uptime: float) -> None:
        """Jobs of workers that fell silent are deferred: whether they were done is unknown."""
        for (message_id, number), entry in list(self._running.items()):
            if uptime - entry.heard <= SILENCE_SECONDS:
                continue
            message = self.messages[message_id]
            channel = message.channels[entry.channel]
            program = "qmail-lspawn" if entry.channel == "local" else "qmail-rspawn"
            delivery = self._release(message, entry.channel, channel, number)
            self._out.log(f"delivery {delivery}: deferral: {program}_went_silent;_will_try_again._(#4.3.0)/")
            self._log_status()
            if not (channel.running or channel.ready):
                channel.attempts += 1
                channel.due = int(now) + LOST_RETRY_SECONDS
                self._due[entry.channel].push(channel.due, message_id)

    def running(self) -> int:
        """Deliveries under way."""
        return len(self._running)
