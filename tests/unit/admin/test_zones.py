"""The zones: what is in them, and that they follow ADDRESS until somebody edits them."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import dns.zone
import pytest

from services.admin.install import Installer
from services.admin.setup.generated_files import GeneratedFiles
from services.admin.setup.zones import make_zones, refresh_zones, render_reverse, render_zone, reverse_zone


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


ORIGINS = {"xeris.db": "xeris.com.", "in-addr.arpa.db": "2.0.0.127.in-addr.arpa."}


def made(directory: Path, address: str) -> dict[str, str]:
    """The files after a start with this address."""
    make_zones("mail.xeris.com", address, directory, Installer(per_user=False))
    return {path.name: path.read_text() for path in directory.iterdir() if path.name != ".made"}


def serial(text: str, origin: str) -> int:
    (soa,) = records(text, origin, origin, "SOA")
    return int(soa.split()[2])


def test_a_start_with_the_same_address_changes_nothing(tmp_path: Path) -> None:
    first = made(tmp_path, "127.0.0.1")
    assert sorted(first) == ["in-addr.arpa.db", "named.conf", "xeris.db"]
    assert made(tmp_path, "127.0.0.1") == first


def test_the_zones_follow_the_address_and_their_serials_grow(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1")
    found = made(tmp_path, "127.0.0.2")
    assert not any("127.0.0.1" in text or "1.0.0.127" in text for text in found.values())
    assert records(found["xeris.db"], "xeris.com.", "mail.xeris.com.", "A") == ["127.0.0.2"]
    assert "/in-addr.arpa.db 2.0.0.127.in-addr.arpa\n" in found["named.conf"]
    assert {serial(found[name], origin) for name, origin in ORIGINS.items()} == {43}
    back_again = made(tmp_path, "127.0.0.1")
    assert serial(back_again["xeris.db"], "xeris.com.") == 44
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.1") == []


def test_an_edited_zone_is_kept_and_told_of_until_it_knows_the_address(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1")
    (tmp_path / "xeris.db").write_text("mine 127.0.0.1 and 127.0.0.22")
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.1") == []
    found = made(tmp_path, "127.0.0.2")
    assert found["xeris.db"] == "mine 127.0.0.1 and 127.0.0.22"
    assert "2.0.0.127.in-addr.arpa" in found["named.conf"]
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.2") == [tmp_path / "xeris.db"]
    (tmp_path / "xeris.db").write_text("mine 127.0.0.2")
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.2") == []


@pytest.mark.parametrize("name", ["named.conf", "in-addr.arpa.db"])
def test_an_edited_configuration_and_its_reverse_zone_stay_together(tmp_path: Path, name: str) -> None:
    made(tmp_path, "127.0.0.1")
    (tmp_path / name).write_text("mine")
    before = made(tmp_path, "127.0.0.1")
    found = made(tmp_path, "127.0.0.2")
    assert {each for each in found if found[each] != before[each]} == {"xeris.db"}
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.2") == [tmp_path / name]
    (tmp_path / name).write_text("2.0.0.127.in-addr.arpa:5353")
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.2") == []


def test_zones_are_those_of_the_name_that_they_were_made_for(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1")
    make_zones("mail.other.org", "127.0.0.2", tmp_path, Installer(per_user=False))
    assert "127.0.0.2" in (tmp_path / "xeris.db").read_text()
    assert not (tmp_path / "other.db").exists()


def test_zones_that_were_brought_along_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "named.conf").write_text("from elsewhere")
    assert made(tmp_path, "127.0.0.1") == {"named.conf": "from elsewhere"}


def test_a_start_that_was_broken_off_is_finished_with_the_address_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(tmp_path / "whole", "127.0.0.2")
    real, renames = os.rename, 0
    while True:
        directory, renames, left = tmp_path / str(renames), renames + 1, [renames]

        def rename(source: object, target: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise InterruptedError
            real(source, target)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename)
            with contextlib.suppress(InterruptedError):
                made(directory, "127.0.0.1")
                made(directory, "127.0.0.2")
        ended = left[0] >= 0
        found = made(directory, "127.0.0.2")
        assert {name: re.sub(r"4\d( *; serial)", r"42\1", found[name]) for name in whole} == {
            name: text.replace(str(tmp_path / "whole"), str(directory)) for name, text in whole.items()
        }
        if ended:
            break
    assert renames > 6


@pytest.mark.parametrize("torn", [b"", b"\0" * 40, b"abc \xff\xfe", b"# half a line\nabcd 127.0.0.1"])
def test_a_torn_memory_of_what_was_made_stops_nothing_and_changes_nothing(tmp_path: Path, torn: bytes) -> None:
    installer = Installer(per_user=False)
    make_zones("mail.xeris.com", "127.0.0.1", tmp_path, installer)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".made"}
    (tmp_path / ".made").write_bytes(torn)
    make_zones("mail.xeris.com", "127.0.0.2", tmp_path, installer)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before
    assert GeneratedFiles(tmp_path).left_behind("127.0.0.2") == []


def refreshed(directory: Path, *names: str, host: str = "mail.xeris.com") -> list[str]:
    return list(refresh_zones(host, names, directory, Installer(per_user=False)))


def test_an_added_domain_below_ours_has_its_records_and_goes_again(tmp_path: Path) -> None:
    before = made(tmp_path, "127.0.0.1")
    assert refreshed(tmp_path, "surat.xeris.com", "xeris.com", "mail.xeris.com") == []
    text = (tmp_path / "xeris.db").read_text()
    assert records(text, "xeris.com.", "surat.xeris.com.", "MX") == ["50 mail.xeris.com."]
    assert records(text, "xeris.com.", "surat.xeris.com.", "A") == ["127.0.0.1"]
    assert serial(text, "xeris.com.") > serial(before["xeris.db"], "xeris.com.")
    assert refreshed(tmp_path, "surat.xeris.com") == [] and (tmp_path / "xeris.db").read_text() == text
    assert (tmp_path / "named.conf").read_text() == before["named.conf"]
    # A new ADDRESS keeps the names that the start is told of.
    make_zones("mail.xeris.com", "127.0.0.2", tmp_path, Installer(per_user=False), ["surat.xeris.com"])
    text = (tmp_path / "xeris.db").read_text()
    assert records(text, "xeris.com.", "surat.xeris.com.", "A") == ["127.0.0.2"]
    assert refreshed(tmp_path) == [] and "surat" not in (tmp_path / "xeris.db").read_text()


def test_an_edited_zone_is_left_alone_and_what_others_serve_is_told(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1")
    edited = (tmp_path / "xeris.db").read_text() + "ftp 1D IN A 127.0.0.9\n"
    (tmp_path / "xeris.db").write_text(edited)
    said = refreshed(tmp_path, "surat.xeris.com", "contoh.id")
    assert said[0].startswith(f"{tmp_path}/xeris.db: edited, so it is left as it is")
    assert said[1] == "contoh.id: whoever serves its zone must say: contoh.id. IN MX 50 mail.xeris.com."
    assert (tmp_path / "xeris.db").read_text() == edited


def test_another_name_of_the_host_has_a_zone_of_its_own(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1")
    assert refreshed(tmp_path, host="mail.contoh.id") == []
    assert records((tmp_path / "contoh.db").read_text(), "contoh.id.", "contoh.id.", "MX") == ["50 mail.contoh.id."]
    assert "contoh.id:5353" in (tmp_path / "named.conf").read_text()
