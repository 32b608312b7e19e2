"""`qmailctl cdb` refuses what smtpd would refuse, and names the line that tcprules would not take."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from services.admin.commands.rules_check import first_fault, smtpd_networks

OWN = smtpd_networks({"SUBNET": "172.29.99"})


def fault(directory: Path, text: str, networks: list[ipaddress.IPv4Network] = OWN) -> str | None:
    path = directory / "tcp.smtp"
    path.write_text(text)
    return first_fault(path, networks)


@pytest.mark.parametrize(
    "line",
    ['127.:allow,RELAYCLIENT=""', ":allow", ":deny", "", "# a word", "10.0.0.1-9:allow,A=/x/,B='y,z'", "=host.org:deny",
     '192.168.1.:allow,RELAYCLIENT="@fix"  ', "2001:db8::1:allow"],
)  # fmt: skip
def test_a_good_line(tmp_path: Path, line: str) -> None:
    assert fault(tmp_path, f"{line}\n:allow\n") is None


@pytest.mark.parametrize(
    "line",
    ["127.0.0.1",
     "127.:permit", "127.:allow;A=1", '127.:allow,RELAYCLIENT="', "127.:allow,RELAYCLIENT", "127.:allow,=''",
     "127.:", "127.:allow,A='x'y", "192.168.1.0/24:allow", "192.168.1:allow", "joe@10.0.0.1:allow",
     "10.0.0.20-10:deny"],
)  # fmt: skip
def test_a_bad_line(tmp_path: Path, line: str) -> None:
    said = fault(tmp_path, f":allow\n{line}\n")
    assert said is not None
    assert said.startswith(
        f"tcprules: fatal: unable to parse this line: {line}\nqmailctl: {tmp_path}/tcp.smtp: line 2: "
    )


def test_a_rule_with_which_smtpd_would_not_start(tmp_path: Path) -> None:
    rule = '172.29.99.65:allow,RELAYCLIENT=""\n'
    said = fault(tmp_path, rule)
    assert said is not None and "line 1: RELAYCLIENT for '172.29.99.65' covers smtpd's own network" in said
    assert fault(tmp_path, rule, []) is None
