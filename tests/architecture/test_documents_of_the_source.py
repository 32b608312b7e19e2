"""What the documents say of the source is what the source says."""

from __future__ import annotations

import re

from tests.support import rfc_index, source_map
from tests.support.source import ROOT

FILE = re.compile(r"`((?:qmail|services|supervise|tests|docs|benchmarks)/[^`*<>{} ]*)`")
WRITE = "written by `python -m tests.support.{}`"


def test_the_index_of_rfc_sections_is_what_the_comments_cite() -> None:
    assert rfc_index.DOCUMENT.read_text(encoding="utf-8") == rfc_index.rendered(), WRITE.format("rfc_index")


def test_the_map_is_what_the_packages_say_of_themselves() -> None:
    assert source_map.written() == source_map.rendered(), WRITE.format("source_map")


def test_every_package_says_what_it_is_for() -> None:
    assert [line for line in source_map.rendered().splitlines() if not line[28:].strip()] == []


def test_every_file_that_contributing_names_is_there() -> None:
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found = FILE.findall(text)
        assert [path for path in found if not (ROOT / path).exists()] == []


def test_every_decision_is_named_where_it_holds() -> None:
    source = [path.read_text(encoding="utf-8") for top in ("qmail", "services") for path in (ROOT / top).rglob("*.py")]
    unnamed = [
        path.name
        for path in (ROOT / "docs" / "decisions").glob("*.md")
        if not any(f"decisions/{path.stem[:4]}" in text for text in source)
    ]
    assert unnamed == []
