"""A real NATS server with our configuration, rights and streams, for tests; it stops when the test does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.admin.bus.streams import make_streams, read_definitions
from services.admin.install import Installer
from services.admin.rights import read_rights
from services.admin.setup.bus_rights import make_credentials
from supervise.bus_config import STATIC, render_config
from tests.support.ports import free_port

BINARY = shutil.which("nats-server") or str(Path(sys.executable).parent / "nats-server")
START_SECONDS = 60.0


class BusServer:
    """One server below `directory`, on the same port each time that it is started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.credentials = directory / "credentials"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For BUS_URL."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until this very process says where it listens."""
        run = self.directory / "run"
        for directory in (run, self.credentials):
            directory.mkdir(parents=True, exist_ok=True)
        make_credentials(read_rights(), lambda role: self.credentials, Installer(per_user=False))
        text = render_config(
            STATIC.read_text(),
            listen=f"127.0.0.1:{self.port}",
            monitor="127.0.0.1:-1",
            store=self.directory / "store",
            users="../credentials/bus.conf",
        )
        (run / "nats.conf").write_text(text)
        with open(self.directory / "nats.log", "ab") as log:
            self._process = subprocess.Popen(
                [BINARY, "-c", str(run / "nats.conf"), "--ports_file_dir", str(run)], stdout=log, stderr=log
            )
        self.port = self._read_port(run / f"nats-server_{self._process.pid}.ports")

    def _read_port(self, path: Path) -> int:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                return int(json.loads(path.read_text())["nats"][0].rpartition(":")[2])
            except (FileNotFoundError, ValueError):
                self._expect_alive()
        raise TimeoutError("the bus did not start")

    def _expect_alive(self) -> None:
        """Wait a moment for the server's end; it is an error if that comes."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.02)
            raise RuntimeError((self.directory / "nats.log").read_text())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server and wait for it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def password(self, role: str) -> str:
        """The role's password."""
        return (self.credentials / f"{role}.bus").read_text().split()[1]

    def make_streams(self, queue_bytes: int = 256 * 1024 * 1024) -> list[str]:
        """As admin; the names of what was changed."""
        return asyncio.run(self._make_streams(queue_bytes))

    async def _make_streams(self, queue_bytes: int) -> list[str]:
        import nats

        client = await nats.connect(
            self.url, user="admin", password=self.password("admin"), inbox_prefix="_INBOX_admin"
        )

        async def api(call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
            answer = await client.request(f"$JS.API.{call}", json.dumps(arguments).encode(), timeout=10)
            result: dict[str, Any] = json.loads(answer.data)
            return result

        try:
            return await make_streams(api, read_definitions(), queue_bytes)
        finally:
            await client.close()
