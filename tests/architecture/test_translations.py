"""The Indonesian pages say what the English ones say: the same commands and outputs, the same names in the text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.control_table import CHAPTER, table_in
from tests.support.documents import FENCE, blocks, broken_links
from tests.support.source import ROOT

DOCS = ROOT / "docs"
INDONESIAN = sorted((DOCS / "id").glob("*.md"))
CHAPTERS = sorted(path.name for path in DOCS.glob("[3-8]-*.md"))


def sections(path: Path) -> list[tuple[int, frozenset[str]]]:
    """Each heading's level and what stands in backquotes below it, fenced blocks and the generated table left out."""
    text = path.read_text(encoding="utf-8")
    text = text.replace(table_in(text), "") if path == CHAPTER else text
    prose = re.sub(rf"^{FENCE}.*?^{FENCE}$", "", text, flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^(#+) .*$", prose, flags=re.MULTILINE)[1:]
    named = (frozenset(re.findall(r"`([^`\n]+)`", body)) for body in parts[1::2])
    return list(zip(map(len, parts[::2]), named, strict=True))


def test_every_chapter_is_there() -> None:
    assert [path.name for path in INDONESIAN] == [*CHAPTERS, "index.md"]


@pytest.mark.parametrize("page", INDONESIAN, ids=lambda page: page.name)
def test_commands_and_outputs_are_those_of_the_english_page(page: Path) -> None:
    english = DOCS / page.name
    assert [(block.kind, block.text) for block in blocks(page)] == [
        (block.kind, block.text) for block in blocks(english)
    ]


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_same_names_stand_in_the_same_sections(name: str) -> None:
    indonesian, english = sections(DOCS / "id" / name), sections(DOCS / name)
    assert [level for level, _ in indonesian] == [level for level, _ in english]
    for (_, ours), (_, theirs) in zip(indonesian, english, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("page", INDONESIAN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []
