"""tcprules and tcprulescheck as programs: the database and the words of ucspi-tcp 0.88."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.control import cdb
from services.admin.commands import bin as programs


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def make(text: bytes) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        return programs.main("tcprules", [str(tmp_path / "tcp.cdb"), str(tmp_path / "tcp.tmp")])

    assert make(b'1.2.3.4:allow,A="x",B="y"\n1.2.3-4.:deny\n=.xeris.com:allow\njoe@10.0.0.1:deny\n=:deny\n') == 0
    return tmp_path / "tcp.cdb"


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({"TCPREMOTEIP": "1.2.3.4"},
         "rule 1.2.3.4:\nset environment variable A=x\nset environment variable B=y\nallow connection\n"),
        ({"TCPREMOTEIP": "1.2.4.4"}, "rule 1.2.4.:\ndeny connection\n"),
        ({"TCPREMOTEIP": "9.9.9.9", "TCPREMOTEHOST": "a.b.xeris.com"}, "rule =.xeris.com:\nallow connection\n"),
        ({"TCPREMOTEIP": "9.9.9.9", "TCPREMOTEHOST": "x.com"}, "rule =:\ndeny connection\n"),
        ({"TCPREMOTEIP": "10.0.0.1", "TCPREMOTEINFO": "joe"}, "rule joe@10.0.0.1:\ndeny connection\n"),
        ({}, "default:\nallow connection\n"),
    ],
)  # fmt: skip
def test_which_rule_a_client_meets(
    rules: Path,
    client: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("TCPREMOTEIP", "TCPREMOTEHOST", "TCPREMOTEINFO"):
        monkeypatch.delenv(name, raising=False)
    for name, value in client.items():
        monkeypatch.setenv(name, value)
    assert programs.main("tcprulescheck", [str(rules)]) == 0
    assert capsys.readouterr().out == said


def test_the_tutorial_s_quotes_are_refused_and_the_old_database_stays(
    rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rules.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'127.:allow,RELAYCLIENT=\\"\\"\n')))
    assert programs.main("tcprules", [str(rules), str(rules.with_suffix(".tmp"))]) == 100
    said = 'tcprules: fatal: unable to parse this line: 127.:allow,RELAYCLIENT=\\"\\"\n'
    assert (capsys.readouterr().err, rules.read_bytes()) == (said, before)


def test_arguments_and_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert programs.main("tcprulescheck", []) == 100
    assert capsys.readouterr().err == "tcprulescheck: usage: tcprulescheck rules.cdb\n"
    assert programs.main("tcprulescheck", [f"{tmp_path}/none"]) == 111
    assert capsys.readouterr().err == f"tcprulescheck: fatal: unable to read {tmp_path}/none: file does not exist\n"
    (tmp_path / "text").write_text("127.:allow\n")
    assert programs.main("tcprulescheck", [f"{tmp_path}/text"]) == 111
    assert "expected a constant database" in capsys.readouterr().err


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=60))
def test_a_constant_database_gives_the_first_value_of_each_key(records: list[tuple[bytes, bytes]]) -> None:
    made = cdb.make(records)
    for key, _ in records:
        assert cdb.find(made, key) == next(value for name, value in records if name == key)
    assert cdb.find(made, b"no such key in it") is None
