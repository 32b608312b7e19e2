"""How a process ends: the exit code, and what standard error says."""

from __future__ import annotations

import pytest

from qmail.accounts.assign import AssignError
from qmail.bus.connect import CredentialsError
from qmail.bus.ports import BusDown
from qmail.control.files import ControlError
from qmail.control.settings import SettingsError, read_name_server
from qmail.role.exits import exit_code
from services.auth.modules.module import ModuleError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("PROCESSES is 'x'; expected"), 78),
        (ControlError("databytes:1: expected"), 78),
        (AssignError("users/assign:1: expected"), 78),
        (ModuleError("authpam: PAM is not installed"), 78),
        (CredentialsError("smtpd.bus: expected"), 111),
        (BusDown("no answer"), 111),
        (OSError(98, "Address already in use"), 111),
    ],
)
def test_why_it_cannot_start_is_said_in_one_form(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def start() -> None:
        raise error

    assert exit_code("smtpd", start) == code
    assert capsys.readouterr() == ("", f"smtpd: fatal: {error}\n")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_an_orderly_end_has_its_own_code(returned: int | None, code: int) -> None:
    assert exit_code("smtpd", lambda: returned) == code


def test_what_is_unforeseen_is_not_taken_for_a_setting() -> None:
    def start() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        exit_code("smtpd", start)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(text: str, found: tuple[str, int] | None) -> None:
    assert read_name_server({"DNS_SERVER": text}) == found


@pytest.mark.parametrize("text", ["dns", "dns:53", "127.0.0.1:domain", "127.0.0.1:99999"])
def test_what_is_no_name_server_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"DNS_SERVER.*expected address or address:port"):
        read_name_server({"DNS_SERVER": text})
