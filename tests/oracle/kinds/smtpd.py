"""Recorded sessions of qmail-smtpd against services.smtpd's dialogue.

The socket and the queue are replaced, nothing else.
"""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qmail.bus.ports import QueueFull, TemporaryError
from qmail.control.files import Control, ControlError
from qmail.door.session import Ask, Close, Effect, Send
from qmail.message.envelope import Draft
from qmail.queue.put import EnvelopeTooLarge
from services.smtpd import replies
from services.smtpd.facts import Commit, read_client
from services.smtpd.policy_reader import PolicyReader
from services.smtpd.session import SmtpSession
from tests.oracle.normalise import Norm
from tests.support.drafts import ORIGIN

# What our queue would raise where qmail's queue program ended with this exit code; anything else there is temporary.
QUEUE_ERRORS: dict[int, BaseException] = {
    11: EnvelopeTooLarge(),
    51: MemoryError(),
    52: TimeoutError(),
    53: QueueFull(),
    55: ControlError("control file"),
    62: OSError(),
    65: OSError(),
    66: OSError(),
    73: ConnectionRefusedError(),
    81: RuntimeError("bug"),
    91: RuntimeError("bug"),
}
INCOMPLETE: dict[str, Any] = {"envelope": {"complete": False}}


def run(case: dict[str, Any]) -> dict[str, Any]:
    """One session, all of stdin at once, then the end of the connection (or the timeout, with hold_open)."""
    given = case["input"]
    with tempfile.TemporaryDirectory() as directory:
        write_control(Path(directory), given)
        return _Session(Path(directory), given).run()


def write_control(directory: Path, given: dict[str, Any]) -> None:
    for name, content in given["control"].items():
        if isinstance(content, dict) and content.get("type") == "dir":
            (directory / name).mkdir()
        else:
            (directory / name).write_bytes(octets(content))
    if "morercpthosts" in given:
        (directory / "morercpthosts").write_bytes(octets(given["morercpthosts"]))
    (directory / "localips").write_bytes(b"192.168.1.1\n")
    (directory / "extensions").write_bytes(b"none\n")


class _Session:
    def __init__(self, directory: Path, given: dict[str, Any]) -> None:
        self.given = given
        self.reader = PolicyReader(Control(directory))
        self.stdout = b""
        self.queue: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        started = time.time()
        try:
            policy = self.reader.current()
        except ControlError:
            return self._result(replies.NO_CONTROLS, 1, started)
        client = read_client({name: octets(value) for name, value in self.given["env"].items()})
        session = SmtpSession(policy, client, ORIGIN, time.time)
        self._carry_out(session, session.connected())
        self._carry_out(session, session.received(octets(self.given["stdin"])))
        if self.given.get("hold_open"):
            self._carry_out(session, session.timed_out())
        return self._result(self.stdout, session.dialogue.exit_status >> 8, started)

    def _result(self, stdout: bytes, exit_code: int, started: float) -> dict[str, Any]:
        norm = Norm(started, time.time())
        queue = [{**item, "message": norm(item["message"])} if "message" in item else item for item in self.queue]
        return {"exit": exit_code, "stdout": norm(stdout), "stderr": b"", "queue": queue}

    def _carry_out(self, session: SmtpSession, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.stdout += effect.data
                self.queue.extend(INCOMPLETE for _ in range(effect.data.count(replies.GO_AHEAD)))
            elif isinstance(effect, Close):
                return
            elif isinstance(effect, Ask):
                self._answer(session, effect.request)

    def _answer(self, session: SmtpSession, request: object) -> None:
        assert isinstance(request, Commit), request
        self.queue[-1] = _captured(request.draft, request.chunk)
        code = self.given.get("queue_exit", 0)
        error = QUEUE_ERRORS.get(code, TemporaryError())
        self._carry_out(session, session.answered(4711) if code == 0 else session.failed(error))


def _captured(draft: Draft, body: bytes) -> dict[str, Any]:
    envelope = {"sender": draft.sender.raw, "recipients": [to.address.raw for to in draft.recipients], "complete": True}
    return {"message": draft.prefix + body, "envelope": envelope}


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Equal in every byte; of a message given up, only that it was not queued (how much of it the queue program had
    seen by then depends on a buffer of qmail's)."""
    return (
        expected["exit"] == actual["exit"]
        and octets(expected["stdout"]) == actual["stdout"]
        and octets(expected["stderr"]) == actual["stderr"]
        and list(_comparable(expected["queue"])) == list(_comparable(actual["queue"]))
    )


def _comparable(queue: Iterable[dict[str, Any]]) -> Iterable[object]:
    for item in queue:
        envelope = item["envelope"]
        if not envelope["complete"]:
            yield None
        else:
            recipients = [octets(recipient) for recipient in envelope["recipients"]]
            yield octets(item["message"]), octets(envelope["sender"]), recipients


def octets(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return str(value).encode()
