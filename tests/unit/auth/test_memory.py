from __future__ import annotations

from services.auth.memory import MAX_MISSES, REMEMBER_SECONDS, Memory

HOME = "192.0.2.1"
RIGHT = (b"ari", b"aripass", "pop3", HOME)
WRONG = (b"ari", b"arypass", "pop3")


def test_a_right_password_is_known_for_a_minute() -> None:
    memory = Memory()
    assert not memory.is_right(*RIGHT, 1, 0.0)
    memory.right(*RIGHT, 1, 0.0)
    assert memory.is_right(*RIGHT, 1, REMEMBER_SECONDS - 1)
    assert not memory.is_right(*RIGHT, 1, REMEMBER_SECONDS)
    assert not memory.is_right(b"ari", b"aripasS", "pop3", HOME, 1, 1.0)
    assert not memory.is_right(b"joni", b"aripass", "pop3", HOME, 1, 1.0)
    assert not memory.is_right(b"ari", b"aripass", "imap", HOME, 1, 1.0)


def test_nobody_can_try_passwords_against_the_memory() -> None:
    memory = Memory()
    memory.right(*RIGHT, None, 0.0)
    assert not memory.is_right(b"ari", b"aripass", "pop3", "198.51.100.7", None, 1.0), "from elsewhere it is verified"
    for number in range(MAX_MISSES):
        assert memory.is_right(*RIGHT, None, 1.0)
        assert not memory.is_right(b"ari", b"%d" % number, "pop3", HOME, None, 1.0)
    assert not memory.is_right(*RIGHT, None, 1.0)


def test_a_wrong_password_is_known_for_a_minute_wherever_it_comes_from() -> None:
    memory = Memory()
    assert not memory.is_wrong(*WRONG, 1, 0.0)
    memory.wrong(*WRONG, 1, 0.0)
    assert memory.is_wrong(*WRONG, 1, REMEMBER_SECONDS - 1)
    assert not memory.is_wrong(*WRONG, 1, REMEMBER_SECONDS)
    assert not memory.is_wrong(*WRONG, 2, 1.0), "the passwords have changed"


def test_changed_hashes_forget_everything_even_what_was_being_verified() -> None:
    memory = Memory()
    memory.is_right(*RIGHT, 1, 0.0)
    memory.right(*RIGHT, 1, 0.0)
    assert not memory.is_right(*RIGHT, 2, 0.0)
    memory.right(*RIGHT, 1, 0.0)
    memory.wrong(*WRONG, 1, 0.0)
    assert not memory.is_right(*RIGHT, 2, 0.0) and not memory.is_wrong(*WRONG, 2, 0.0)


def test_neither_names_nor_passwords_lie_in_memory_as_they_are() -> None:
    memory = Memory()
    memory.right(*RIGHT, None, 0.0)
    memory.wrong(*WRONG, None, 0.0)
    assert b"aripass" not in repr(vars(memory)).encode() and b"arypass" not in repr(vars(memory)).encode()
