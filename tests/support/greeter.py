"""A server on loopback that greets one client and hangs up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def greeter(greeting: bytes) -> Iterator[int]:
    """Its port. Exactly one client must come, within ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            client, _ = server.accept()
            client.sendall(greeting)
            client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join()
