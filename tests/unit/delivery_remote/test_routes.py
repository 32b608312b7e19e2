"""control/smtproutes and literal addresses."""

from __future__ import annotations

import pytest

from qmail.control.kinds import ROUTES, Fault
from services.delivery.remote.routes import Route, Tls, find_route, parse_literal


@pytest.mark.parametrize(
    ("lines", "host", "route"),
    [
        ([b"remote.org:relay"], b"remote.org", Route(b"relay", 25)),
        ([b"remote.org:relay"], b"mx.remote.org", None),
        ([b".remote.org:relay"], b"mx.Remote.org", Route(b"relay", 25)),
        ([b".remote.org:relay"], b"remote.org", None),
        ([b":smart:2526"], b"anything", Route(b"smart", 2526)),
        ([b"remote.org:", b":smart"], b"remote.org", None),
        ([b"a:one", b"A:two"], b"a", Route(b"two", 25)),
        ([b".org:one", b".remote.org:two", b"mx.remote.org:three"], b"mx.remote.org", Route(b"three", 25)),
        ([b"a:[::1]:2526"], b"a", Route(b"[::1]", 2526)),
        ([b"a:[IPv6:2001:db8::1]"], b"a", Route(b"[IPv6:2001:db8::1]", 25)),
        ([b"a:[127.0.0.1]:2526x"], b"a", Route(b"[127.0.0.1]", 2526)),
        ([b"a:r:"], b"a", Route(b"r", 0)),
        ([b"no colon"], b"no colon", None),
    ],
)
def test_route(lines: list[bytes], host: bytes, route: Route | None) -> None:
    table = ROUTES.parse_as_qmail(b"\n".join(lines))
    assert isinstance(table, dict) and find_route(table, host) == route


@pytest.mark.parametrize(
    ("relay", "route"),
    [
        (b"r:587 user=a@b.org", Route(b"r", 587, b"a@b.org", Tls.VERIFY)),
        (b"r:587 tls=encrypt user=me", Route(b"r", 587, b"me", Tls.ENCRYPT)),
        (b"r tls", Route(b"r", 25, tls=Tls.VERIFY)),
        (b"[::1]:587\ttls=verify", Route(b"[::1]", 587, tls=Tls.VERIFY)),
        # Nobody speaks SMTP in the clear there.
        (b"r:465", Route(b"r", 465, tls=Tls.ENCRYPT)),
    ],
)
def test_what_a_route_asks(relay: bytes, route: Route) -> None:
    for table in (ROUTES.parse(b"a:" + relay), ROUTES.parse_as_qmail(b"a:" + relay)):
        assert isinstance(table, dict) and find_route(table, b"a") == route


@pytest.mark.parametrize(
    "tail",
    [b":587 me secret", b":587/me/secret", b":587|me|secret", b"|me|secret", b":587 user=me secret", b":587 tsl"],
)
def test_what_follows_the_port_is_never_passed_over_nor_shown(tail: bytes) -> None:
    content = b"ok.org:r2\na:r" + tail + b"\n"
    fault = ROUTES.parse(content)
    assert isinstance(fault, Fault) and fault.line == 2 and "secret" not in str(fault)
    as_qmail = ROUTES.parse_as_qmail(content)
    assert isinstance(as_qmail, dict)
    for table in (fault.instead, as_qmail):
        route = find_route(table, b"a")
        assert route is not None and not route.understood
        assert find_route(table, b"ok.org") == Route(b"r2", 25)
    assert b"secret" not in b"".join(fault.instead.values())


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (b"1.2.3.4", "1.2.3.4"),
        (b"[1.2.3.4]", "1.2.3.4"),
        (b"[IPv6:2001:DB8::1]", "2001:db8::1"),
        (b"[127.0.0", None),
        (b"example.org", None),
        (b"1.2.3.4.5", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_literal(host: bytes, address: str | None) -> None:
    assert parse_literal(host) == address
