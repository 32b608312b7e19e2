"""Our own addresses: control/localips alone where it is there, else ADDRESS and those of the interfaces."""

from __future__ import annotations

from pathlib import Path

from qmail.control.files import Control
from qmail.role.interfaces import read_interfaces
from services.delivery.remote.own import own_addresses


def test_without_localips_every_address_of_this_machine_is_our_own(tmp_path: Path) -> None:
    own = own_addresses(Control(tmp_path), {"ADDRESS": "192.0.2.7"})
    assert {str(interface.ip) for interface in read_interfaces()} | {"192.0.2.7", "127.0.0.1", "::1"} <= own


def test_localips_says_it_alone(tmp_path: Path) -> None:
    (tmp_path / "localips").write_text("192.0.2.9\n")
    assert own_addresses(Control(tmp_path), {"ADDRESS": "192.0.2.7"}) == {"192.0.2.9"}
