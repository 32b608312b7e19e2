from __future__ import annotations

from services.auth.memory import REMEMBER_SECONDS, Memory

RIGHT = (b"ari", b"aripass", "pop3")


def test_a_right_password_is_known_for_a_minute() -> None:
    memory = Memory()
    assert not memory.knows(*RIGHT, 1, 0.0)
    memory.remember(*RIGHT, 1, 0.0)
    assert memory.knows(*RIGHT, 1, REMEMBER_SECONDS - 1)
    assert not memory.knows(*RIGHT, 1, REMEMBER_SECONDS)
    assert not memory.knows(b"ari", b"aripasS", "pop3", 1, 1.0)
    assert not memory.knows(b"joni", b"aripass", "pop3", 1, 1.0)
    assert not memory.knows(b"ari", b"aripass", "imap", 1, 1.0)


def test_changed_hashes_forget_everything_even_what_was_being_verified() -> None:
    memory = Memory()
    memory.knows(*RIGHT, 1, 0.0)
    memory.remember(*RIGHT, 1, 0.0)
    assert not memory.knows(*RIGHT, 2, 0.0)
    memory.remember(*RIGHT, 1, 0.0)
    assert not memory.knows(*RIGHT, 2, 0.0)


def test_neither_names_nor_passwords_lie_in_memory_as_they_are() -> None:
    memory = Memory()
    memory.knows(*RIGHT, 1, 0.0)
    memory.remember(*RIGHT, 1, 0.0)
    assert b"aripass" not in repr(vars(memory)).encode()
