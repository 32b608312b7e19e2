"""What is left of a message: in the bus's blocks, in the homes, in the log. A loss is to explain itself."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from services.admin.bus.blocks import Entry, header_fields, read_block
from tests.support.mail_run import MailRun

LOG_LINES = 20
MESSAGE_NUMBER = re.compile(rb"(?<!\d)\d{17,19}(?!\d)")

#: Message -> the records that name it, as `IN 12 in.218040923930044000`.
Named = dict[int, list[str]]


def in_blocks(bus: Path) -> Named:
    """What the bus's directory has, records too that were removed and are still to be read."""
    found: Named = {}
    for block in sorted(bus.glob("jetstream/*/streams/*/msgs/*.blk")):
        stream = block.parent.parent.name
        for entry in read_block(block.read_bytes()):
            for number in _numbers(stream, entry):
                found.setdefault(number, []).append(f"{stream} {entry.sequence} {entry.subject}")
    return found


def _numbers(stream: str, entry: Entry) -> set[int]:
    text = entry.subject.encode()
    envelopes = header_fields(entry.headers).get("Qmail-Envelope", "@")
    text += b" ".join(base64.b64decode(part) for part in envelopes.split(",") if part != "@")
    if stream == "JOURNAL":
        text += entry.payload
    return {int(number) for number in MESSAGE_NUMBER.findall(text)}


def of_message(deployment: MailRun, message_id: int, after_cut: list[str]) -> str:
    """All that is known of one; `after_cut` are the records that named it before the server was started again."""
    directory = deployment.directory
    now = in_blocks(directory / "bus").get(message_id, [])
    files = [str(path.relative_to(directory)) for path in (directory / "home").rglob(f"*{message_id}*")]
    logged = [
        line
        for path in sorted((directory / "log").rglob("*"))
        if path.is_file()
        for line in path.read_text(errors="replace").splitlines()
        if str(message_id) in line
    ]
    return (
        f"  records that named it after the cut: {after_cut or 'none'}\n  and now: {now or 'none'}\n"
        f"  files in homes: {files or 'none'}\n  log: " + "\n       ".join(logged[-LOG_LINES:] or ["nothing"])
    )
