"""The recorded messages as a Maildir behind a real imap door, and a client that has it selected."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import Any

from tests.support.imap_door import Raw, own, running


@contextlib.contextmanager
def serving(rows: list[dict[str, Any]]) -> Iterator[Raw]:
    """A client of a mailbox that holds the messages of `rows` in their order, numbered and with UIDs from 1."""
    with running() as door:
        for row in rows:
            path = door.maildir / "cur" / row["file"]
            path.write_bytes(base64.b64decode(row["raw_b64"]))
            os.utime(path, (int(row["mtime"]), int(row["mtime"])))
        own(door.maildir)
        client = door.raw().login()
        try:
            assert client.answers(b"SELECT INBOX")[-1].startswith(b"OK")
            for number, row in enumerate(rows, 1):
                for keyword in row["keywords"]:
                    client.answers(b"STORE %d +FLAGS.SILENT (%b)" % (number, keyword.encode()))
            yield client
        finally:
            client.close()
