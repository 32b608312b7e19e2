"""`python -m services.inject.qmqpc`: qmail-qmqpc(8), qmail-queue's interface to the servers of control/qmqpservers."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable

from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from qmail.control.table import QMQPSERVERS
from qmail.message.qmqp import ACCEPTED, REFUSED, QmqpError, parse_answer, render_request
from qmail.queue import exits
from services.inject.qmail_queue import read_all

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0
_PIECE_BYTES = 4096


def parse_envelope(envelope: bytes) -> tuple[bytes, list[bytes]] | None:
    """Sender and recipients of qmail-queue's descriptor 1; None where it is none."""
    fields = envelope.split(b"\0")
    if len(fields) < 3 or fields[-1] or fields[-2] or fields[0][:1] != b"F":
        return None
    recipients = fields[1:-2]
    return None if any(field[:1] != b"T" for field in recipients) else (fields[0][1:], [r[1:] for r in recipients])


def put(servers: Iterable[tuple[str, int]], request: bytes) -> int:
    """qmail-qmqpc's exit code: of the first server that answers, else of the last trouble."""
    code = exits.NO_CONFIGURATION
    for server in servers:
        try:
            with socket.create_connection(server, CONNECT_SECONDS) as connection:
                connection.settimeout(IDLE_SECONDS)
                return _talk(connection, request)
        except OSError:
            code = exits.COMMUNICATION_FAILED
    return code


def _talk(connection: socket.socket, request: bytes) -> int:
    """Raises OSError where the connection ends before the answer."""
    connection.sendall(request)
    received = b""
    try:
        while (answer := parse_answer(received)) is None:
            piece = connection.recv(_PIECE_BYTES)
            if not piece:
                raise ConnectionResetError
            received += piece
    except QmqpError:
        return exits.BAD_ENVELOPE
    if answer[0] == ACCEPTED:
        return exits.OK
    return exits.REJECTED if answer[0] == REFUSED else exits.REJECTED_FOR_NOW


def main() -> int:
    """Put one message; qmail-qmqpc's exit codes."""
    try:
        message = b"".join(read_all(0))
        envelope = parse_envelope(b"".join(read_all(1)))
    except OSError:
        return exits.READ_ERROR
    if envelope is None:
        return exits.BAD_ENVELOPE
    try:
        servers = Control(read_paths(os.environ).control).get(QMQPSERVERS)
    except ControlError:
        return exits.NO_CONFIGURATION
    head, tail = render_request(len(message), *envelope)
    return put(servers, head + message + tail)


if __name__ == "__main__":
    sys.exit(main())
