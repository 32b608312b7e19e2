"""Each role logs in to a real bus and is refused what belongs to the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from services.admin.rights import Role, read_rights
from tests.support.bus_server import BusServer

RIGHTS = read_rights()
ROLES = {role.name: role for role in RIGHTS.bus_users if role.name != "admin"}

# One subject for every kind of thing that somebody may do on this bus.
PUBLISH = [
    "in.1", "body.1.0", "envelope.1", "hold.1", "state.1", "done.1", "lease", "node.1", "paused", "abort", "ask.pass",
    "ask.rcpt", "job.local", "job.remote", "report.local", "report.remote", "heartbeat.local", "heartbeat.remote",
    "confirm.local.w", "confirm.remote.w", "bounce", "keep", "new.2001", "control.flush", "event.log.qmail",
    "known.x", "login.slowed", "login.lift", "login.wrong", "$JS.API.DIRECT.GET.LOGINS.known.x",
    "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.NAMES.IN",
    *(f"$JS.API.{call}.{stream}" for stream in ("IN", "BODY", "HOLD", "JOURNAL", "CLAIMS", "LOGINS", "EVENTS")
      for call in ("STREAM.INFO", "STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.PURGE",
                   "STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.RESTORE",
                   "DIRECT.GET", "CONSUMER.CREATE", "CONSUMER.LIST")),
    *(f"$JS.API.{call}.{stream}.queue" for stream in ("IN", "HOLD", "JOURNAL", "CLAIMS")
      for call in ("CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.DELETE", "CONSUMER.INFO",
                   "CONSUMER.MSG.NEXT", "CONSUMER.RESET", "CONSUMER.PAUSE")),
    "$JS.API.DIRECT.GET.IN.in.1", "$JS.API.DIRECT.GET.BODY.body.1.0", "$JS.API.DIRECT.GET.BODY.envelope.1",
    "$JS.API.DIRECT.GET.HOLD.hold.1", "$JS.API.DIRECT.GET.CLAIMS.node.1", "$JS.API.DIRECT.GET.JOURNAL.state.1",
    "$JS.API.DIRECT.GET.CLAIMS.lease", "$JS.API.DIRECT.GET.CLAIMS.paused",
    "$JS.ACK.IN.queue.1.1.1.1.0", "$JS.ACK.EVENTS.log.1.1.1.1.0",
    "$SYS.REQ.SERVER.PING", "_INBOX_queue.x.1", "_INBOX_smtpd.x.1",
]  # fmt: skip
SUBSCRIBE = [
    ">", "*.*", "in.*", "body.*.*", "hold.*", "state.*", "event.>", "ask.pass", "ask.rcpt", "ask.*", "ask.>",
    "ask.pass workers", "ask.rcpt workers", "ask.pass listeners", "job.local", "job.local workers",
    "job.local others", "job.remote", "job.remote workers", "report.>", "heartbeat.>", "confirm.>",
    "confirm.local.>", "confirm.remote.>", "bounce", "keep", "new.*", "known.*", "login.>", "login.slowed",
    "login.slowed workers", "login.lift", "login.wrong", "abort", "control.>", "$JS.API.>", "$SYS.>",
    "$JS.EVENT.ADVISORY.>", "_INBOX.>", *(f"_INBOX_{role}.>" for role in ROLES),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    bus = BusServer(Path(tmp_path_factory.mktemp("bus")))
    bus.start()
    try:
        bus.make_streams()
        yield bus
    finally:
        bus.stop()


def matches(allowed: str, subject: str) -> bool:
    """Whether a literal subject, or every subject of a pattern, lies within the allowed pattern."""
    wanted, given = allowed.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(given) > index
        if index >= len(given) or given[index] == ">" or (token != "*" and token != given[index]):
            return False
    return len(wanted) == len(given)


def may_publish(role: Role, subject: str) -> bool:
    return any(matches(allowed, subject) for allowed in role.publish)


def may_subscribe(role: Role, entry: str) -> bool:
    subject, _, group = entry.partition(" ")
    allowed = [(*one.split(" "), "")[:2] for one in (*role.subscribe, f"{role.inbox}.>")]
    return any(matches(a, subject) and g in ("", group) for a, g in allowed)


class Visitor:
    """A connection that collects what the server refuses."""

    def __init__(self, server: BusServer, role: str) -> None:
        self._server, self._role = server, role
        self.refused: list[str] = []

    async def __aenter__(self) -> Client:
        self.client = await nats.connect(
            self._server.url,
            user=self._role,
            password=self._server.password(self._role),
            inbox_prefix=f"_INBOX_{self._role}",
            error_cb=self._error,
            allow_reconnect=False,
        )
        return self.client

    async def _error(self, error: Exception) -> None:
        self.refused.append(str(error))

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


async def refused_publications(server: BusServer, role: Role) -> set[str]:
    visitor = Visitor(server, role.name)
    async with visitor as client:
        for subject in PUBLISH:
            await client.publish(subject, b"")
        await client.flush(timeout=20)
        await client.flush(timeout=20)
    return {
        subject
        for subject in PUBLISH
        if any(f'Publish to "{subject.lower()}"' in r for r in map(fold, visitor.refused))
    }


def fold(text: str) -> str:
    """nats-py lower-cases what the server says."""
    return text.lower().replace("publish to", "Publish to").replace("subscription to", "Subscription to")


async def refused_subscriptions(server: BusServer, role: Role) -> set[str]:
    refused = set()
    for entry in SUBSCRIBE:
        visitor = Visitor(server, role.name)
        async with visitor as client:
            subject, _, group = entry.partition(" ")
            await client.subscribe(subject, queue=group)
            await client.flush(timeout=20)
            await client.flush(timeout=20)
        if any("Subscription to" in r for r in map(fold, visitor.refused)):
            refused.add(entry)
    return refused


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_refused_every_publication_that_is_not_its_own(server: BusServer, name: str) -> None:
    role = ROLES[name]
    expected = {subject for subject in PUBLISH if not may_publish(role, subject)}
    assert asyncio.run(refused_publications(server, role)) == expected


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_refused_every_subscription_that_is_not_its_own(server: BusServer, name: str) -> None:
    role = ROLES[name]
    expected = {entry for entry in SUBSCRIBE if not may_subscribe(role, entry)}
    assert asyncio.run(refused_subscriptions(server, role)) == expected


@pytest.mark.parametrize("name", ROLES)
def test_nobody_but_admin_makes_consumers_or_gets_by_sequence(name: str) -> None:
    role = ROLES[name]
    for stream in ("IN", "BODY", "HOLD", "JOURNAL", "CLAIMS", "LOGINS", "EVENTS"):
        assert not may_publish(role, f"$JS.API.CONSUMER.CREATE.{stream}")
        assert not may_publish(role, f"$JS.API.CONSUMER.CREATE.{stream}.mine")
        assert not may_publish(role, f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine")
        assert not may_publish(role, f"$JS.API.STREAM.MSG.GET.{stream}")
        assert not may_publish(role, f"$JS.API.DIRECT.GET.{stream}")


def test_passwords_are_told_in_no_listening_role_but_auth(server: BusServer) -> None:
    listeners = {r.name for r in ROLES.values() if any(may_subscribe(r, e) for e in ("ask.pass", "ask.pass workers"))}
    assert listeners == {"auth"}
    assert not may_subscribe(ROLES["auth"], "ask.pass")


def test_a_wrong_password_is_refused(server: BusServer) -> None:
    async def attempt() -> None:
        await nats.connect(server.url, user="smtpd", password=server.password("queue"), allow_reconnect=False)

    with pytest.raises(nats.errors.Error):
        asyncio.run(attempt())


def test_a_stored_message_cannot_be_overwritten(server: BusServer) -> None:
    async def put_twice() -> list[dict[str, object]]:
        async with Visitor(server, "smtpd") as client:
            return [json.loads((await client.request("in.77", body, timeout=10)).data) for body in (b"one", b"two")]

    first, second = asyncio.run(put_twice())
    assert "error" not in first
    assert "per subject" in second["error"]["description"]  # type: ignore[index]


def test_streams_are_made_once(server: BusServer) -> None:
    assert server.make_streams() == []
