"""A small DNS server for tests: answers from a table, or fails as the table says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, "str | Sequence[Sequence[Any]]"]

_FAILURES = {"servfail": dns.rcode.SERVFAIL, "nxdomain": dns.rcode.NXDOMAIN, "refused": dns.rcode.REFUSED}


class DnsServer(asyncio.DatagramProtocol):
    """`zone`: lower-case name -> records ["MX", 10, "mx.test"], ["A", "127.0.0.5"], ... or "servfail",
    "nxdomain", "refused", "*drop" (no answer at all; also as a record, or as a key with names). A name that
    is absent does not exist."""

    def __init__(self, zone: Zone) -> None:
        self._zone = {name.lower().rstrip("."): records for name, records in zone.items()}
        self._transport: asyncio.DatagramTransport | None = None
        self.queries: set[str] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen on a free UDP port."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called by the loop."""
        query = dns.message.from_wire(data)
        reply = self._answer(query)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply.to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.add(f"{kind} {name}")
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if self._silent(name.lower()):
            return None
        reply.set_rcode(self._fill(reply, name, kind))
        return reply

    def _silent(self, name: str) -> bool:
        records = self._zone.get(name, "")
        return "*drop" in records or ["*drop"] in list(records) or name in self._zone.get("*drop", ())

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> dns.rcode.Rcode:
        for _ in range(10):
            records = self._zone.get(name.lower().rstrip("."), "nxdomain")
            if isinstance(records, str):
                return _FAILURES[records]
            target = ""
            for record in records:
                if record[0] in (kind, "CNAME") or kind == "ANY":
                    reply.answer.append(_rrset(name, record))
                    target = record[1] if record[0] == "CNAME" else ""
            if not target or kind in ("CNAME", "ANY"):
                break
            name = target
        return dns.rcode.NOERROR


def _rrset(name: str, record: Sequence[Any]) -> dns.rrset.RRset:
    fields = [str(field) for field in record[1:]]
    if record[0] in ("MX", "CNAME"):
        fields[-1] = fields[-1].rstrip(".") + "."
    if record[0] == "TXT":
        fields = [f'"{field}"' for field in fields]
    return dns.rrset.from_text(name.rstrip(".") + ".", 60, "IN", record[0], " ".join(fields))
