"""A deployment's directory in which recorded commands are run as they are typed, by the real programs; what they put
into the queue is kept, and answered as the case says."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from qmail.message import netstring
from qmail.queue.socket.wire import encode_answer
from services.admin.install import Installer
from supervise.bin_directory import make_bin
from tests.oracle.kinds.remote import from_bytes, to_bytes
from tests.oracle.normalise import Norm

# As on the machine of the recording.
ACCOUNTS = {"ari": 2001, "joni": 2002, "joe": 2003, "diva": 2004}
ALIAS_UID = 1003
_NUMBER = 424242
_STEP_SECONDS = 120
_DEFAULT_CONTROL = {"me": "mail.xeris.com\n"}


class Queue:
    """The queue's socket: each submission's message and envelope, answered by one exit code."""

    def __init__(self, path: Path, exit_code: int) -> None:
        self.submissions: list[tuple[bytes, bytes]] = []
        self._code = exit_code
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o777)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                frames = _frames(connection)
                self.submissions.append((_text(frames), _text(frames)))
                connection.sendall(encode_answer(self._code, 0 if self._code else _NUMBER))


def _text(frames: Iterator[bytes]) -> bytes:
    """Everything up to the empty frame."""
    return b"".join(itertools.takewhile(bool, frames))


def _frames(connection: socket.socket) -> Iterator[bytes]:
    buffer = bytearray()
    while True:
        found = netstring.decode(buffer)
        if found is None:
            data = connection.recv(65536)
            if not data:
                return
            buffer += data
            continue
        del buffer[: found[1]]
        yield found[0]


class ToolCase:
    """One case: files made, steps run, what they said and left."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self.top = Path(tempfile.mkdtemp(prefix="qmail-tools-"))
        self.work = self.top / "work"
        self._bin = make_bin(self.top, sys.executable, Installer(per_user=False))
        self._began = time.time()

    def __enter__(self) -> ToolCase:
        self.top.chmod(0o755)
        for name in ("control", "users", "alias", "home", "run", "work"):
            (self.top / name).mkdir(exist_ok=True)
        self.work.chmod(0o777)
        for name, text in {**_DEFAULT_CONTROL, **self._given.get("control", {}), "extensions": "none\n"}.items():
            (self.top / "control" / name).write_bytes(to_bytes(text))
        self._make_accounts()
        # Of the queue's token, which is not for ordinary users.
        (self.top / "credentials").mkdir()
        (self.top / "credentials" / "http.token").write_text("secret\n")
        (self.top / "credentials" / "http.token").chmod(0o400)
        for file in self._given.get("files", []):
            self._make_file(file)
        self._queue = Queue(self.top / "run" / "queue", self._given.get("queue_exit", 0))
        self._before = self._look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        shutil.rmtree(self.top)

    def result(self) -> dict[str, Any]:
        """Run the steps; the shape of a case's `expect`."""
        steps = [self._step(step) for step in self._given["steps"]]
        after = self._look()
        files = [fact for path, fact in after.items() if self._before.get(path) != fact]
        removed = sorted(path for path in self._before if path not in after)
        return {"steps": steps, "files": files, "removed": removed, "queue": self._submissions()}

    def _make_accounts(self) -> None:
        alias = f"alias:*:{ALIAS_UID}:{ALIAS_UID}::{self.top}/alias:/bin/true\n"
        users = "".join(f"{name}:*:{uid}:{uid}::{self.top}/home/{name}:/bin/sh\n" for name, uid in ACCOUNTS.items())
        (self.top / "users" / "passwd").write_text(alias + users)
        for name, uid in ACCOUNTS.items():
            (self.top / "home" / name).mkdir()
            if os.geteuid() == 0:
                os.chown(self.top / "home" / name, uid, uid)
        # The recording asked its own machine who alias is.
        tool = self._bin / "id"
        tool.write_text(f'#!/bin/sh\n[ "$2" = alias ] && echo {ALIAS_UID} || exec /usr/bin/id "$@"\n')
        tool.chmod(0o755)

    def _make_file(self, file: dict[str, Any]) -> None:
        path = Path(os.fsdecode(self._place(file["path"].encode())))
        if file.get("type") == "dir":
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._place(to_bytes(file.get("content", ""))))
            path.chmod(int(file.get("mode", "0644"), 8))
        if "age" in file:
            os.utime(path, times=(self._began - file["age"],) * 2)
        for each in (path, *path.parents):
            if os.geteuid() == 0 and each.is_relative_to(self.work) and each != self.work:
                os.chown(each, ACCOUNTS["ari"], ACCOUNTS["ari"])

    def _place(self, text: bytes) -> bytes:
        places = {
            b"<WORK>": self.work, b"/var/qmail": self.top,
            b"/usr/bin/tcprules": self._bin / "tcprules",
        }  # fmt: skip
        for name, path in places.items():
            text = text.replace(name, os.fsencode(path))
        return text

    def _shown(self, data: bytes) -> Any:
        for path, name in ((self.work, b"<WORK>"), (self.top / "home", b"/home"), (self.top, b"/var/qmail")):
            data = data.replace(os.fsencode(path), name)
        data = data.replace(b"qp %d" % _NUMBER, b"qp <QP>")
        return from_bytes(Norm(self._began, time.time())(data))

    def _step(self, step: dict[str, Any]) -> dict[str, Any]:
        environ = {os.fsencode(name): self._place(to_bytes(value)) for name, value in step.get("env", {}).items()}
        path = os.fsencode(f"{self._bin}:/usr/bin:/bin")
        uid = (
            {"user": step["uid"], "group": step["uid"], "extra_groups": []}
            if os.geteuid() == 0 and "uid" in step
            else {}
        )
        with tempfile.TemporaryFile() as stdin:
            stdin.write(to_bytes(step.get("stdin", "")))
            stdin.seek(0)
            ended = subprocess.run(
                [self._place(to_bytes(word)) for word in step["argv"]],
                env={b"PATH": path, b"QMAIL_DIR": os.fsencode(self.top), **environ},
                cwd=self.work,
                stdin=stdin,
                capture_output=True,
                umask=0o022,
                timeout=_STEP_SECONDS,
                check=False,
                **uid,
            )
        return {"exit": ended.returncode, "stdout": self._shown(ended.stdout), "stderr": self._shown(ended.stderr)}

    def _look(self) -> dict[str, Any]:
        """Everything that a case may leave, by its name there."""
        found = {}
        for top in (self.work, self.top / "users", self.top / "control"):
            for path in top.rglob("*"):
                name = str(self._shown(os.fsencode(path)))
                found[name] = self._fact(path, name)
        return found

    def _fact(self, path: Path, name: str) -> dict[str, Any]:
        mode = f"{path.lstat().st_mode & 0o7777:04o}"
        if path.is_symlink():
            return {"path": name, "type": "symlink"}
        if path.is_dir():
            return {"path": f"{name}/", "mode": mode}
        return {"path": name, "mode": mode, "content": self._shown(path.read_bytes())}

    def _submissions(self) -> list[dict[str, Any]]:
        shown = []
        for message, envelope in self._queue.submissions:
            first, *others = envelope[:-2].split(b"\0")
            recipients = [self._shown(field[1:]) for field in others]
            shown.append(
                {
                    "message": self._shown(message),
                    "envelope": {"sender": self._shown(first[1:]), "recipients": recipients, "complete": True},
                }
            )
        return shown
