"""authcustom, authldap and authpgsql with real programs and servers: right, wrong, unknown, away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.auth.modules import reach
from services.auth.modules.custom import Custom
from services.auth.modules.ldap import Ldap
from services.auth.modules.module import Module, ModuleError, NotSetUp, Verdict
from services.auth.modules.pgsql import PgSql
from tests.support.deployment import eventually
from tests.support.directory import SECRET, Server, postgresql, slapd
from tests.support.source import ROOT

YES, NO, UNKNOWN, TEMPORARY = Verdict.YES, Verdict.NO, Verdict.UNKNOWN, Verdict.TEMPORARY


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with slapd(tmp_path_factory.mktemp("ldap") / "slapd") as server:
        yield server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgresql(tmp_path_factory.mktemp("sql") / "postgresql") as server:
        yield server


def authldap(path: Path, port: int, **other: str) -> Ldap:
    settings = {
        "LDAP_URI": f"ldap://127.0.0.1:{port}",
        "LDAP_PROTOCOL_VERSION": "3",
        "LDAP_BASEDN": "dc=xeris,dc=com",
        "LDAP_BINDDN": "cn=reader,dc=xeris,dc=com",
        "LDAP_BINDPW": SECRET,
        "LDAP_MAIL": "uid",
        **other,
    }
    path.write_text("# as Courier has it\n\n" + "".join(f"{name}\t{value}\n" for name, value in settings.items()))
    return Ldap(path)


def authpgsql(path: Path, port: int, **other: str) -> PgSql:
    settings = {
        "PGSQL_HOST": "127.0.0.1",
        "PGSQL_PORT": str(port),
        "PGSQL_USERNAME": "auth",
        "PGSQL_PASSWORD": SECRET,
        "PGSQL_DATABASE": "mail",
        "PGSQL_USER_TABLE": "accounts",
        "PGSQL_CRYPT_PWFIELD": "crypt",
        "PGSQL_WHERE_CLAUSE": "active AND id LIKE '%'",
        **other,
    }
    path.write_text("".join(f"{name} {value}\n" for name, value in settings.items() if value))
    return PgSql(path)


def says(module: Module, *questions: tuple[str, str]) -> list[Verdict]:
    return [module(name.encode(), password.encode(), "imap") for name, password in questions]


def test_a_directory_decides_by_its_own_hashes(directory: Server, tmp_path: Path) -> None:
    module = authldap(tmp_path / "authldaprc", directory.port)
    questions = (("joni", "jonipass"), ("joni", "wrong"), ("sarah", "jonipass"), ("diva", "jonipass"))
    assert says(module, *questions) == [YES, NO, UNKNOWN, TEMPORARY], "two entries have diva's name"
    # What would be a filter of its own.
    assert says(module, ("*", "jonipass"), ("joni)(uid=*", "jonipass"), ("j\\6fni", "jonipass")) == [UNKNOWN] * 3
    assert not module.missing("imap")


def test_a_database_decides_and_its_clause_counts(database: Server, tmp_path: Path) -> None:
    module = authpgsql(tmp_path / "authpgsqlrc", database.port)
    questions = (("joni", "jonipass"), ("joni", "wrong"), ("sarah", "jonipass"), ("nobody' OR ''='", "jonipass"))
    assert says(module, *questions) == [YES, NO, UNKNOWN, UNKNOWN]
    assert says(module, ("diva", "jonipass"), ("diva", "!"), ("budi", "jonipass")) == [NO, NO, NO]
    assert says(authpgsql(tmp_path / "rc", database.port, DEFAULT_DOMAIN="xeris.com"), ("joni", "jonipass")) == [
        UNKNOWN
    ]


def test_a_directory_that_is_away_is_no_wrong_password(
    directory: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "PAUSE_SECONDS", 0.0)
    module = authldap(tmp_path / "authldaprc", directory.port)
    directory.stop()
    assert says(module, ("joni", "jonipass"), ("joni", "wrong")) == [TEMPORARY] * 2
    assert module.missing("imap").startswith("authldap: ")
    directory.start()
    eventually(lambda: says(module, ("joni", "jonipass")) == [YES], "it answers again")
    assert not module.missing("imap")
    refused = authldap(tmp_path / "authldaprc", directory.port, LDAP_BINDPW="other")
    assert says(refused, ("joni", "jonipass")) == [TEMPORARY] and "LDAP_BINDDN was refused" in refused.missing("imap")
    no_tls = authldap(tmp_path / "authldaprc", directory.port, LDAP_TLS="1")
    assert says(no_tls, ("joni", "jonipass")) == [TEMPORARY], "no password goes in the clear where TLS is asked for"


def test_a_database_that_is_away_is_no_wrong_password(
    database: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "PAUSE_SECONDS", 0.0)
    module = authpgsql(tmp_path / "authpgsqlrc", database.port)
    database.stop()
    assert says(module, ("joni", "jonipass")) == [TEMPORARY] and module.missing("imap").startswith("authpgsql: ")
    assert SECRET not in module.missing("imap")
    database.start()
    eventually(lambda: says(module, ("joni", "jonipass")) == [YES], "it answers again")
    for wrong in ({"PGSQL_PASSWORD": "other"}, {"PGSQL_USER_TABLE": "nowhere"}):
        assert says(authpgsql(tmp_path / "authpgsqlrc", database.port, **wrong), ("joni", "jonipass")) == [TEMPORARY]


def test_nobody_waits_for_a_server_that_was_away_a_moment_ago(tmp_path: Path) -> None:
    module = authldap(tmp_path / "authldaprc", 1)
    assert says(module, ("joni", "x")) == [TEMPORARY]
    module._servers = []  # asked again, it would fail otherwise
    before = module.missing("imap")
    assert says(module, ("joni", "x")) == [TEMPORARY] and module.missing("imap") == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LDAP_URI ldap://x\n", "LDAP_BASEDN is missing"),
        ("LDAP_BASEDN dc=x\nLDAP_URI http://x\n", "LDAP_URI: expected ldap://"),
        ("LDAP_BASEDN dc=x\nLDAP_URI ldap://x\nLDAP_AUTHBIND 0\n", "LDAP_AUTHBIND: expected 1"),
        ("LDAP_BASEDN dc=x\nLDAP_PASSWORD secret\n", "authldaprc:2: 'LDAP_PASSWORD'; expected one of"),
        ("LDAP_BASEDN dc=x\nLDAP_URI ldap://x\nLDAP_TLS yes\n", "LDAP_TLS: expected one of 0, 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_named_and_no_value_is_told(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "authldaprc"
    path.write_text(text)
    with pytest.raises(ModuleError, match=expected) as error:
        Ldap(path)
    assert "secret" not in str(error.value)
    with pytest.raises(NotSetUp):
        PgSql(tmp_path / "authpgsqlrc")
    with pytest.raises(ModuleError, match="PGSQL_CRYPT_PWFIELD or PGSQL_CLEAR_PWFIELD"):
        authpgsql(tmp_path / "authpgsqlrc", 1, PGSQL_CRYPT_PWFIELD="")


PROGRAM = """#!/bin/sh
# checkpassword's interface: descriptor 3 has name, password and time stamp, each with a NUL behind it.
{ read -r name; read -r password; read -r stamp; } <<END
$(tr '\\000' '\\012' <&3)
END
case $name:$password in
joni:jonipass) exec "$@" ;;
joni:digest) test "$stamp" = '<1@xeris>' && exec "$@"; exit 1 ;;
misused:*) exit 2 ;;
later:*) exit 111 ;;
slow:*) sleep 1000 ;;
crash:*) kill -SEGV $$ ;;
show:*)
    exec >OUT 2>&1
    cat SECRET; ls HIDDEN; cat /proc/self/root/SECRET
    cat /proc/OUTSIDE/mem; env; ls -l /proc/self/fd
    exit 1 ;;
esac
exit 1
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "auth").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "auth/passwd").write_text("joni:$argon2-this-is-hidden\n")
    path = tmp_path / "checkpassword"
    text = (
        PROGRAM.replace("OUTSIDE", str(os.getpid()))
        .replace("SECRET", str(tmp_path / "auth/passwd"))
        .replace("HIDDEN", str(tmp_path / "auth"))
    )
    path.write_text(text.replace("OUT", str(tmp_path / "open/out")))
    path.chmod(0o755)
    return path


@pytest.fixture
def module(program: Path) -> Iterator[Custom]:
    made = Custom(f"'{program}'".encode(), [program.parent / "auth"], 1)
    yield made
    made.close()


def test_any_checkpassword_program_is_asked_on_descriptor_3(module: Custom) -> None:
    questions = (
        ("joni", "jonipass"),
        ("joni", "wrong"),
        ("sarah", "x"),
        ("misused", "x"),
        ("later", "x"),
        ("crash", "x"),
    )
    assert says(module, *questions) == [YES, UNKNOWN, UNKNOWN, TEMPORARY, TEMPORARY, TEMPORARY]
    assert module.ask(b"joni", b"digest", b"<1@xeris>", "pop3") is YES
    assert module.ask(b"joni", b"digest", b"", "pop3") is UNKNOWN
    assert says(module, ("joni", "x" * 600)) == [UNKNOWN], "512 bytes is all that a program takes"
    assert not module.missing("imap")


def test_the_program_reaches_no_hash_and_inherits_nothing(module: Custom, program: Path) -> None:
    assert says(module, ("show", "x")) == [UNKNOWN]
    seen = (program.parent / "open/out").read_text(errors="replace")
    assert "this-is-hidden" not in seen and seen.count("Permission denied") == 4
    assert "PYTHONPATH" not in seen and "socket:" not in seen


def test_a_program_that_does_not_end_is_killed_with_what_it_started(program: Path) -> None:
    text = program.read_text().replace("sleep 1000", f"sleep 1000 & echo $! >{program.parent}/open/left; wait")
    program.write_text(text)
    made = Custom(str(program).encode(), [], 1)
    try:
        # Another who asks has to wait for the one helper; so is the number of programs bounded.
        made._helpers[0]._socket.send(b"imap\0slow\0x\0\0")
        left = program.parent / "open/left"
        eventually(lambda: left.exists() and left.read_text().strip().isdigit(), "the program runs")
    finally:
        made.close()
    eventually(lambda: not os.path.exists(f"/proc/{left.read_text().strip()}"), "what it started is gone")


@pytest.mark.parametrize("command", ["checkpassword", "'unfinished", "./checkpassword"])
def test_a_command_that_cannot_be_meant_is_refused_at_start(command: str) -> None:
    with pytest.raises(ModuleError, match="control/authcustom:1: "):
        Custom(command.encode(), [], 1)


def test_a_program_that_is_not_there_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Custom(str(tmp_path / "nowhere").encode(), [], 1)
    assert says(made, ("joni", "jonipass")) == [TEMPORARY]
    made.close()
    assert says(made, ("joni", "jonipass")) == [TEMPORARY] and "started again" in made.missing("imap")
