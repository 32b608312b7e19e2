"""svc and svstat: which role a service's directory stands for, and what is said of it."""

from __future__ import annotations

import pytest

from qmail.bus.talk.presence import Presence
from services.admin.commands import svc
from services.admin.commands.presences import Presences


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("/service/qmail-send", "queue"),
        ("/service/qmail-smtpd/", "smtpd"),
        ("/service/qmail-pop3d", "pop3"),
        ("/service/qmail-pop3d/log", "log"),
        ("/service/qmail-send-log", "log"),
        ("delivery-local", "delivery-local"),
        ("/service", None),
        ("/", None),
        ("bus", None),
        ("nobody", None),
    ],
)
def test_a_service_s_directory_is_a_role(name: str, role: str | None) -> None:
    assert svc.role_of(name) == role


def test_svstat_tells_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def everybody(_: object) -> tuple[None, Presences]:
        return None, Presences((Presence(role="queue", host="q", pid=7, seconds=61.5),), {})

    monkeypatch.setattr(svc, "everybody", everybody)
    assert svc.svstat(None, ["/service/qmail-send", "/service/qmail-smtpd", "nowhere"]) == 0  # type: ignore[arg-type]
    assert capsys.readouterr().out == (
        "/service/qmail-send: up (pid 7) 61 seconds\n"
        "/service/qmail-smtpd: down, normally up\n"
        "nowhere: unable to chdir: file does not exist\n"
    )
    assert svc.svok(None, ["/service/qmail-smtpd"]) == 100  # type: ignore[arg-type]
    assert svc.svok(None, ["nowhere"]) == 111  # type: ignore[arg-type]
    assert svc.svok(None, []) == 100  # type: ignore[arg-type]
