"""A NATS server that takes connections and answers no request: what a role meets whose streams are not there yet."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

INFO = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'


class SilentBus:
    """Listens from the start. `speaks`: says who it is and answers PING, so that clients are connected."""

    def __init__(self, *, speaks: bool) -> None:
        self._speaks = speaks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._heard = b""
        self._news = threading.Condition()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """For BUS_URL."""
        return f"nats://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._listener, *self._connections):
            each.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listener.accept()
                self._connections.append(client)
                self._tell(b"(connected)")
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        except OSError:
            return

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._speaks:
                client.sendall(INFO)
            while data := client.recv(65536):
                self._tell(data)
                if self._speaks and b"PING\r\n" in data:
                    client.sendall(b"PONG\r\n")
        except OSError:
            return

    def _tell(self, data: bytes) -> None:
        with self._news:
            self._heard += data
            self._news.notify_all()

    def wait_for(self, text: bytes, seconds: float) -> None:
        """Until a client has sent this; `(connected)`: until one has come. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: text in self._heard, seconds):
                raise TimeoutError(f"{text!r} was not heard within {seconds} seconds: {self._heard!r}")
