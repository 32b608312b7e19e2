"""What delivery says to its spawner and hears from it: one JSON object a packet, bytes as latin-1. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

#: Packets beyond this are refused before they are sent (a command line of 128 kB cannot be run anyway).
MAX_PACKET_BYTES: Final = 160 * 1024
#: So much of what a program writes is kept; more than a report holds.
MAX_OUTPUT_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program to be run; the message's descriptor travels beside it."""

    number: int
    uid: int  #: -1: as the spawner itself
    gid: int
    home: bytes
    command: bytes
    variables: dict[bytes, bytes]
    seconds: float  #: killed when it takes longer
    network: bool = False  #: whether it may make other sockets than Unix ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended: exit code, negative for a signal, None when its time was over."""

    number: int
    exit_code: int | None
    output: bytes


def encode_program(program: Program) -> bytes:
    fields = asdict(program)
    fields["home"] = program.home.decode("latin-1")
    fields["command"] = program.command.decode("latin-1")
    pairs = program.variables.items()
    fields["variables"] = {k.decode("latin-1"): v.decode("latin-1") for k, v in pairs}
    return json.dumps(fields).encode("ascii")


def decode_program(packet: bytes) -> Program:
    """The request of a packet. Raises ValueError, KeyError or TypeError for anything else."""
    fields = json.loads(packet)
    pairs = fields["variables"].items()
    fields["variables"] = {k.encode("latin-1"): v.encode("latin-1") for k, v in pairs}
    fields["home"] = fields["home"].encode("latin-1")
    fields["command"] = fields["command"].encode("latin-1")
    return Program(**fields)


def encode_ended(ended: Ended) -> bytes:
    output = ended.output.decode("latin-1")
    return json.dumps({"number": ended.number, "exit_code": ended.exit_code, "output": output}).encode("ascii")


def decode_ended(packet: bytes) -> Ended:
    """The answer of a packet. Raises ValueError or KeyError for anything else."""
    fields = json.loads(packet)
    return Ended(number=fields["number"], exit_code=fields["exit_code"], output=fields["output"].encode("latin-1"))
