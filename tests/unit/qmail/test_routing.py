"""locals, virtualdomains, percenthack, envnoathost; and what a reload refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.files import Control
from qmail.control.read_routes import read_routes
from qmail.control.routing import Route
from qmail.control.table import files_of
from qmail.message.address import Address


def control(directory: Path, **files: str) -> Control:
    (directory / "me").write_text("mail.xeris.com\n")
    for name, text in files.items():
        (directory / name).write_text(text)
    return Control(directory)


@pytest.mark.parametrize(
    ("recipient", "channel", "address"),
    [
        (b"joni@xeris.com", "local", b"joni@xeris.com"),
        (b"joni@XERIS.com", "local", b"joni@XERIS.com"),
        (b"joni", "local", b"joni@xeris.com"),
        (b"a@far.org", "remote", b"a@far.org"),
        (b"a@virt.example", "local", b"joni-a@virt.example"),
        (b"a@sub.virt.example", "local", b"diva-a@sub.virt.example"),
        (b"vip@far.org", "local", b"boss-vip@far.org"),
        (b"a@except.virt.example", "remote", b"a@except.virt.example"),
        (b"a%far.org@hack.example", "remote", b"a@far.org"),
        (b"a%xeris.com%hack.example@hack.example", "local", b"a@xeris.com"),
    ],
)
def test_recipients_go_where_qmail_send_sends_them(
    tmp_path: Path, recipient: bytes, channel: str, address: bytes
) -> None:
    routes = read_routes(
        control(
            tmp_path,
            locals="xeris.com\n",
            envnoathost="xeris.com\n",
            virtualdomains="virt.example:joni\n.virt.example:diva\nexcept.virt.example:\nvip@far.org:boss\n",
            percenthack="hack.example\n",
        )
    )
    assert routes.route(Address(recipient)) == Route(channel, Address(address))


def test_without_locals_me_is_local(tmp_path: Path) -> None:
    assert read_routes(control(tmp_path)).route(Address(b"a@mail.xeris.com")).channel == "local"


def test_an_empty_locals_makes_nothing_local(tmp_path: Path) -> None:
    assert read_routes(control(tmp_path, locals="")).route(Address(b"a@mail.xeris.com")).channel == "remote"


def test_a_reload_names_file_line_and_what_was_expected(tmp_path: Path) -> None:
    files = control(tmp_path, virtualdomains="ok.example:joni\nbroken\n", locals="a b\n")
    assert files.faults(files_of("queue")) == [
        f"{tmp_path}/locals:1: expected one domain name, found 'a b'",
        f"{tmp_path}/virtualdomains:2: expected domain:prefix, found 'broken'",
    ]
