"""The table of commands: each row can be carried out, and what is announced is what is there."""

from __future__ import annotations

import pytest

from services.imap.commands import COMMANDS
from services.imap.session.capability import extensions
from services.imap.session.command import ANY, SELECTED, Command


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name.decode())
def test_a_command_is_carried_out_by_somebody(command: Command) -> None:
    assert command.step or command.operation or command.takes_message
    assert command.states and command.states <= ANY
    assert command.name == command.name.upper()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith(b"UID ") and name != b"UID EXPUNGE"])
def test_a_command_by_uid_is_its_twin_by_number_and_may_tell_what_is_gone(name: bytes) -> None:
    by_uid, by_number = COMMANDS[name], COMMANDS[name.removeprefix(b"UID ")]
    assert by_uid.operation is by_number.operation and by_uid.announced is by_number.announced
    assert by_uid.states == by_number.states == SELECTED
    assert by_uid.by_uid and by_uid.tells_expunged and not by_number.by_uid


def test_expunge_is_not_told_with_fetch_store_and_search() -> None:
    """RFC 3501 section 7.4.1."""
    silent = {name for name, command in COMMANDS.items() if not command.tells_expunged}
    assert silent == {b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"}


def test_capability_announces_what_the_table_names() -> None:
    announced = extensions(COMMANDS).split()
    assert len(announced) == len(set(announced)) and announced[0] == b"IMAP4rev1"
    assert set(announced) >= set(
        b"IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE LITERAL+ ID ENABLE UNSELECT MOVE MULTIAPPEND ESEARCH "
        b"SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES "
        b"LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE".split()
    )
    without = {name: command for name, command in COMMANDS.items() if name != b"IDLE"}
    assert b"IDLE" not in extensions(without)
