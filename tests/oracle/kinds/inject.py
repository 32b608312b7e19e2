"""Recorded runs of qmail-inject, answered by services.inject; only the queue's socket is replaced."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qmail.control.files import Control
from qmail.message.address import Address
from qmail.queue.socket.wire import render_envelope
from services.inject.command import Surroundings, inject
from services.inject.replies import Fatal
from tests.oracle.kinds.remote import from_bytes, to_bytes
from tests.oracle.normalise import Norm


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What the command does with the case, in the shape of its `expect`: once with -n, once with the queue."""
    given = case["input"]
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        _write_files(here, given)
        return {
            "dry": _run(given, here, [b"-n"], printed=True),
            "queue": _run(given, here, [], printed=False),
        }


def same(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether exit code, texts, message and envelope are equal."""
    return expected == actual


class _Capture:
    """Stands for the queue: keeps the submission, exits as the case says."""

    def __init__(self, exit_code: int) -> None:
        self.called = 0
        self.message = b""
        self.envelope: dict[str, Any] = {"sender": None, "recipients": [], "complete": False}
        self._exit_code = exit_code

    def open(self) -> None:
        self.called += 1

    def write(self, data: bytes) -> None:
        self.message += data

    def finish(self, sender: Address, recipients: Iterable[Address]) -> int:
        first, *others = render_envelope(sender, recipients)[:-2].split(b"\0")
        self.envelope = {
            "sender": first[1:],
            "recipients": [field[1:] for field in others],
            "complete": True,
        }
        return 1000 - self._exit_code if self._exit_code >= 1000 else self._exit_code


def _write_files(here: Path, given: dict[str, Any]) -> None:
    control = here / "control"
    control.mkdir()
    # What it does with a control file is the letter of qmail's control.c.
    for name, content in {"extensions": "none\n", **given["control"]}.items():
        _write(control / name, content)
    for path, content in given.get("files", {}).items():
        _write(here / path.lstrip("/"), content)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict) and content.get("type") == "dir":
        path.mkdir()
    else:
        path.write_bytes(to_bytes(content))


def _environ(given: dict[str, Any], here: Path) -> dict[bytes, bytes]:
    environ = {to_bytes(name): to_bytes(value) for name, value in given["env"].items()}
    lists = environ.get(b"QMAILMFTFILE")
    if lists is not None:
        # The recording ran in /tmp; the case's absolute paths lie below our own directory.
        environ[b"QMAILMFTFILE"] = os.fsencode(here) + os.path.join(b"/tmp", lists) if lists else lists
    return environ


def _run(given: dict[str, Any], here: Path, before: list[bytes], printed: bool) -> dict[str, Any]:
    began = time.time()
    capture = _Capture(given.get("queue_exit", 0))
    stdout = io.BytesIO()
    around = Surroundings(
        environ=_environ(given, here),
        control=Control(here / "control"),
        stdin=io.BytesIO(to_bytes(given["stdin"])),
        stdout=stdout,
        queue=capture,
    )
    code, stderr = 0, b""
    try:
        inject([*before, *map(to_bytes, given["args"])], around)
    except Fatal as fatal:
        code, stderr = fatal.code, fatal.text
    norm = Norm(began, time.time())

    def text(data: bytes) -> Any:
        return from_bytes(norm(data))

    result: dict[str, Any] = {"exit": code, "stdout": text(stdout.getvalue()), "stderr": text(stderr)}
    if capture.called or not printed:
        result["called"] = capture.called
    if capture.called:
        result["message"] = text(capture.message)
        result["envelope"] = _shown(capture.envelope, text)
    return result


def _shown(envelope: dict[str, Any], text: Any) -> dict[str, Any]:
    sender = envelope["sender"]
    return {
        "sender": None if sender is None else text(sender),
        "recipients": [text(recipient) for recipient in envelope["recipients"]],
        "complete": envelope["complete"],
    }
