"""control/smtproutes and literal addresses."""

from __future__ import annotations

import pytest

from qmail.control.kinds import ROUTES
from services.delivery.remote.routes import Route, find_route, parse_literal


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
