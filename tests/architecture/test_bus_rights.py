"""The bus's rendered permissions are RIGHTS.toml's, and its streams hold every subject that is stored."""

from __future__ import annotations

import json
import re

import pytest

from qmail.bus import subjects
from qmail.bus.talk.messages import WORKERS
from services.admin.bus.streams import read_definitions
from services.admin.rights import Role, read_rights
from services.admin.setup.bus_rights import render_users
from tests.support.source import ROOT

RIGHTS = read_rights()
USERS = {role.name: role for role in RIGHTS.bus_users}
USER = re.compile(
    r'\{ user: "(?P<user>[^"]+)", password: "(?P<password>[^"]+)", permissions: \{\s*'
    r"publish: \{ allow: (?P<publish>\[.*?\]) \},\s*subscribe: \{ allow: (?P<subscribe>\[.*?\]) \}"
    r"(?P<respond>,\s*allow_responses: [^}]*\})? \} \}"
)


def rendered() -> dict[str, re.Match[str]]:
    text = render_users(RIGHTS, {name: f"{name}-password" for name in (*USERS, "stat")})
    return {found["user"]: found for found in USER.finditer(text)}


def test_every_user_of_the_bus_is_a_role_of_rights() -> None:
    assert list(rendered()) == list(USERS)


@pytest.mark.parametrize("role", USERS.values(), ids=list(USERS))
def test_a_user_has_the_role_s_subjects_and_its_own_inbox(role: Role) -> None:
    found = rendered()[role.name]
    assert found["password"] == f"{role.name}-password"
    assert json.loads(found["publish"]) == list(role.publish)
    assert json.loads(found["subscribe"]) == [*role.subscribe, f"_INBOX_{role.name}.>"]
    assert (found["respond"] is not None) == role.respond


@pytest.mark.parametrize("role", [r for r in USERS.values() if r.name != "admin"], ids=lambda role: role.name)
def test_no_role_but_admin_has_a_right_that_opens_a_whole_stream(role: Role) -> None:
    for subject in (*role.publish, *role.subscribe):
        assert subject.split(" ")[0] not in (">", "*", "*.*", "$JS.>", "$JS.API.>", "_INBOX.>")
        for call in ("CONSUMER.CREATE", "CONSUMER.DURABLE", "STREAM.MSG", "STREAM.CREATE", "STREAM.DELETE"):
            assert call not in subject


def test_a_role_that_takes_work_or_passwords_does_so_in_a_group_only() -> None:
    for role in USERS.values():
        for subject in role.subscribe:
            if role.name != "admin" and subject.split(".")[0] in ("job", "ask"):
                assert subject.endswith(f" {WORKERS}"), f"{role.name}: {subject}"


def test_bodies_are_read_by_those_who_deliver_and_bounce() -> None:
    readers = {name for name, role in USERS.items() if "$JS.API.DIRECT.GET.IN.>" in role.publish}
    assert readers == {"bounce", "delivery-local", "delivery-remote"}


@pytest.mark.parametrize("role", [r for r in USERS.values() if r.name != "admin"], ids=lambda role: role.name)
def test_mail_is_put_by_those_whose_code_puts_it(role: Role) -> None:
    found = {"in.*", "body.*.*", "envelope.*", "abort"} & set(role.publish)
    if role.name == "bounce":
        # Under a number that the scheduler chose, to one recipient.
        assert found == {"in.*", "body.*.*"}
    else:
        assert found == ({"in.*", "body.*.*", "envelope.*", "abort"} if "queue.put" in role.library else set())


@pytest.mark.parametrize("role", [r for r in USERS.values() if r.name != "admin"], ids=lambda role: role.name)
def test_a_role_writes_into_its_own_log_only(role: Role) -> None:
    # The bounce writer is started by the queue, and writes no log of its own.
    files = ROOT.joinpath(*role.program.split(".")).rglob("*.py") if role.program else ()
    names = {name for file in files for name in re.findall(r'\bLog\("([a-z0-9-]+)"\)', file.read_text("utf-8"))}
    assert {subject for subject in role.publish if subject.startswith("event")} == {f"event.log.{n}" for n in names}


@pytest.mark.parametrize(
    ("stream", "subject"),
    [
        (subjects.IN, subjects.accepted(1)),
        (subjects.BODY, subjects.body(1, 0)),
        (subjects.BODY, subjects.large_envelope(1)),
        (subjects.HOLD, subjects.hold(1)),
        (subjects.JOURNAL, subjects.state(1)),
        (subjects.JOURNAL, subjects.done(1, 1)),
        (subjects.CLAIMS, subjects.node(1)),
        (subjects.CLAIMS, subjects.LEASE),
        (subjects.CLAIMS, subjects.PAUSED),
        (subjects.EVENTS, "event.log.qmail"),
    ],
)
def test_what_is_stored_has_exactly_its_stream(stream: str, subject: str) -> None:
    holding = [
        name
        for name, definition in read_definitions()["stream"].items()
        for pattern in definition["subjects"]
        if re.fullmatch(pattern.replace(".", r"\.").replace("*", r"[^.]+").replace(">", ".+"), subject)
    ]
    assert holding == [stream]


def test_the_readers_are_those_that_the_library_names() -> None:
    consumers = read_definitions()["consumer"]
    assert {(stream, name) for stream, names in consumers.items() for name in names} == {
        *((stream, subjects.QUEUE_CONSUMER) for stream in (subjects.IN, subjects.JOURNAL)),
        (subjects.IN, subjects.OLD_CONSUMER),
        (subjects.EVENTS, subjects.LOG_CONSUMER),
    }


def test_the_streams_share_the_queue_s_bytes() -> None:
    shares = [definition["share"] for definition in read_definitions()["stream"].values()]
    assert sum(shares) == pytest.approx(1.0)
