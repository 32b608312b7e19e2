"""Free ports are those that no outgoing connection takes."""

from __future__ import annotations

import socket

import pytest

from tests.support.ports import EPHEMERAL, HIGHEST, LOWEST, candidates, free_ports


def test_ports_are_different_and_not_those_of_connections() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert set(ports) <= set(candidates(EPHEMERAL.read_text()))


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (free,) = free_ports(1)
        mostly_used = [taken.getsockname()[1]] * 50 + [free]
        monkeypatch.setattr("tests.support.ports.candidates", lambda ephemeral: mostly_used)
        assert free_ports(1) == [free]


def test_what_the_kernel_gives_to_connections_is_left_out_if_anything_else_is_there() -> None:
    assert candidates("32768\t60999\n") == [*range(LOWEST, 32768), *range(61000, HIGHEST + 1)]
    assert len(candidates("1024 65535")) == HIGHEST - LOWEST + 1
