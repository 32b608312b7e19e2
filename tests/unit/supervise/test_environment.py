"""What the deployment's programs get of the environment of whoever starts it."""

from __future__ import annotations

from supervise.environment import PATH, chosen


def test_settings_come_through_and_the_rest_does_not() -> None:
    given = {"ADDRESS": "192.0.2.1", "TZ": "Asia/Jakarta", "HOME": "/root", "LD_PRELOAD": "x", "PYTHONHOME": "/tmp"}
    found = chosen(given)
    assert {name: found[name] for name in found if name in given} == {"ADDRESS": "192.0.2.1", "TZ": "Asia/Jakarta"}
    assert found["PYTHONSAFEPATH"] == "1"


def test_programs_are_looked_for_in_absolute_places_alone() -> None:
    assert chosen({"PATH": ".:bin::/usr/bin:/opt/mail/bin:~/bin"})["PATH"] == "/usr/bin:/opt/mail/bin"
    assert chosen({"PATH": "."})["PATH"] == PATH
    assert chosen({})["PATH"] == PATH
