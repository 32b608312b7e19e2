from __future__ import annotations

from pathlib import Path

import dns.zone
import pytest

from services.admin.files import Keeper
from services.admin.zones import make_zones, render_reverse, render_zone, reverse_zone


def records(text: str, origin: str, name: str, kind: str) -> list[str]:
    zone = dns.zone.from_text(text, origin=origin, relativize=False)
    return sorted(record.to_text() for record in zone.find_rdataset(name, kind))


def test_the_tutorials_zone_repaired() -> None:
    text = render_zone("mail.xeris.com", "192.168.1.1")
    assert records(text, "xeris.com.", "xeris.com.", "SOA") == ["xeris.com. root.xeris.com. 42 10800 900 604800 86400"]
    assert records(text, "xeris.com.", "xeris.com.", "NS") == ["xeris.com."]
    assert records(text, "xeris.com.", "xeris.com.", "A") == ["192.168.1.1"]
    assert records(text, "xeris.com.", "xeris.com.", "MX") == ["50 mail.xeris.com."]
    assert records(text, "xeris.com.", "mail.xeris.com.", "A") == ["192.168.1.1"]
    assert records(text, "xeris.com.", "www.xeris.com.", "CNAME") == ["xeris.com."]


def test_a_host_that_is_its_own_domain_is_named_once() -> None:
    text = render_zone("xeris.com", "192.168.1.1")
    assert records(text, "xeris.com.", "xeris.com.", "MX") == ["50 xeris.com."]


def test_the_reverse_zone_is_that_of_one_address() -> None:
    assert reverse_zone("192.168.1.1") == "1.1.168.192.in-addr.arpa"
    text = render_reverse("mail.xeris.com", "192.168.1.1")
    origin = "1.1.168.192.in-addr.arpa."
    assert records(text, origin, origin, "PTR") == ["mail.xeris.com."]


@pytest.mark.parametrize("address", ["localhost", "::1", "192.168.1", "1.2.3.4\n5"])
def test_an_address_that_cannot_be_published_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        reverse_zone(address)


def test_an_edited_zone_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(per_user=False)
    make_zones("mail.xeris.com", "127.0.0.1", tmp_path, keeper)
    (tmp_path / "xeris.db").write_text("mine")
    make_zones("mail.other.org", "127.0.0.2", tmp_path, keeper)
    assert (tmp_path / "xeris.db").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["127.0.0.1.db", "named.conf", "xeris.db"]
