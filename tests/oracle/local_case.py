"""Running qmail-local (services.delivery.local.command) for a recorded case, in a child process of its own.

As root the child is uid 2002, as when the cases were recorded; otherwise it is the caller.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.delivery.local import command
from tests.oracle.normalise import Norm

UID = 2002
_DROPPED = ("PWD", "OLDPWD", "_", "SHLVL", "QMAILQUEUE")
_QUEUE = """#!/bin/sh
cat > {work}/queue/message
cat <&1 > {work}/queue/envelope
{end}
"""


def text(data: bytes) -> Any:
    """Bytes as the cases write them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def data(value: Any) -> bytes:
    """Bytes of a case's text."""
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else os.fsencode(value)


class LocalCase:
    """One case in a directory of its own: home made, program run, results gathered."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self.work = Path(tempfile.mkdtemp(prefix="qmail-local-"))
        self.home = self.work / "home"
        self.streams = [self.work / name for name in ("stdin", "stdout", "stderr")]
        self._started = 0.0

    def __enter__(self) -> LocalCase:
        self.work.chmod(0o755)
        self.streams[0].write_bytes(data(self._given.get("stdin", "")))
        self._make_queue()
        self._make_home()
        return self

    def __exit__(self, *_: object) -> None:
        for directory, names, _files in os.walk(self.work):
            os.chmod(directory, 0o700)
            for name in names:
                if not os.path.islink(os.path.join(directory, name)):
                    os.chmod(os.path.join(directory, name), 0o700)
        shutil.rmtree(self.work)

    def place(self, raw: bytes) -> bytes:
        """Input with the place of the home in it."""
        return raw.replace(b"<HOME>", os.fsencode(self.home))

    def result(self) -> dict[str, Any]:
        """Run it; exit, stdout and stderr."""
        self._started = time.time()
        exit_code = self._run()
        return {
            "exit": exit_code,
            "stdout": text(self.shown(self.streams[1].read_bytes())),
            "stderr": text(self.shown(self.streams[2].read_bytes())),
        }

    def shown(self, raw: bytes) -> bytes:
        """Output with placeholders in place of what varies."""
        return Norm(self._started, time.time())(raw.replace(os.fsencode(self.home), b"<HOME>"))

    def queue(self) -> list[dict[str, Any]]:
        """What was forwarded."""
        try:
            envelope = (self.work / "queue/envelope").read_bytes()
        except FileNotFoundError:
            return []
        fields = envelope.split(b"\0")
        recipients = [text(f[1:]) for f in fields[1:-2]]
        found = {"sender": text(fields[0][1:]), "recipients": recipients, "complete": envelope.endswith(b"\0\0")}
        message = (self.work / "queue/message").read_bytes()
        return [{"message": text(self.shown(message)), "envelope": found}]

    def files(self) -> list[dict[str, Any]]:
        """Everything below the home but unchanged inputs."""
        if not self.home.is_dir():
            return []
        given = {f["path"]: self.place(data(f["content"])) for f in self._given["files"] if "content" in f}
        found = [self._fact(path) for path in self._below(self.home)]
        kept = [f for f in found if f.get("type") or f["path"] not in given or self._changed(f, given)]
        return sorted(kept, key=lambda f: str(f["path"]))

    def _below(self, directory: Path) -> Iterator[Path]:
        for path in directory.iterdir():
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from self._below(path)

    def _changed(self, fact: dict[str, Any], given: dict[str, bytes]) -> bool:
        return (self.home / str(fact["path"])).read_bytes() != given[str(fact["path"])]

    def _fact(self, path: Path) -> dict[str, Any]:
        mode = path.lstat().st_mode
        name = self.shown(os.fsencode(path.relative_to(self.home)))
        name = name.replace(b"<TIME>.<PID>." + socket.gethostname().encode(), b"<TIME>.<PID>.<HOSTNAME>")
        fact: dict[str, Any] = {"path": text(name), "mode": f"{stat.S_IMODE(mode):04o}"}
        if stat.S_ISLNK(mode):
            return fact | {"type": "symlink"}
        path.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)  # so that we can look into it, if we are not root
        if stat.S_ISDIR(mode):
            return fact | {"path": f"{fact['path']}/"}
        content = self.shown(path.read_bytes())
        if name.endswith(b"env.out"):
            pairs = (entry.partition(b"=") for entry in content.split(b"\0") if entry)
            return fact | {"env": {text(k): text(v) for k, _, v in pairs if k.decode() not in _DROPPED}}
        return fact | {"content": text(content)}

    def _make_queue(self) -> None:
        (self.work / "queue").mkdir()
        code = self._given.get("queue_exit", 0)
        end = f"kill -{code - 1000} $$" if code >= 1000 else f"exit {code}"
        program = self.work / "qmail-queue"
        program.write_text(_QUEUE.format(work=self.work, end=end))
        program.chmod(0o755)
        self._own(self.work / "queue")

    def _make_home(self) -> None:
        home = self._given["home"]
        if home.get("type") == "none":
            return
        if home.get("type") == "file":
            self.home.write_bytes(b"")
        else:
            self.home.mkdir()
            for file in self._given["files"]:
                self._make_file(file)
        self._own(self.home)
        if "mode" in home:
            self.home.chmod(int(home["mode"], 8))

    def _make_file(self, file: dict[str, Any]) -> None:
        path, kind = self.home / file["path"], file.get("type", "file")
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            self._own(path.parent)
            path.parent.chmod(0o755)
        if kind == "symlink":
            path.symlink_to(os.fsdecode(self.place(data(file["content"]))))
            os.lchown(path, *([UID] * 2 if os.geteuid() == 0 else [-1, -1]))
            return
        if kind == "file":
            path.write_bytes(self.place(data(file.get("content", ""))))
        else:
            made = [path, *(path / sub for sub in ("tmp", "new", "cur") if kind == "maildir")]
            for directory in made:
                directory.mkdir()
                self._own(directory)
                directory.chmod(0o700)
        self._own(path)
        path.chmod(int(file.get("mode", "0644" if kind == "file" else "0700"), 8))

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, UID, UID)

    def _run(self) -> int:
        arguments = [self.place(data(argument)) for argument in self._given["args"]]
        pid = os.fork()
        if pid == 0:
            os._exit(self._be_qmail_local(arguments))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _be_qmail_local(self, arguments: list[bytes]) -> int:
        flags = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)
        for number, (path, flag) in enumerate(zip(self.streams, flags, strict=True)):
            os.dup2(os.open(path, flag, 0o644), number)
        os.environ.clear()
        os.environ.update(self._given["env"], QMAILQUEUE=str(self.work / "qmail-queue"))
        if os.geteuid() == 0:
            os.setgroups([UID])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
        try:
            return command.main(arguments)
        except SystemExit as end:
            return int(str(end.code))
