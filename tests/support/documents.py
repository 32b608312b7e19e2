"""README.md and docs/*.md as commands and what they print.

A block ```sh is run; in ```sh look it only looks at something, and may be run again until its text is there. The
```text block after one or more of them holds lines of the last one's output, in order. A block ```console is not run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.deployment import eventually
from tests.support.source import ROOT

COMMAND_SECONDS = 180
LOOK_SECONDS = 180.0

FENCE = "```"
LINK = re.compile(r"\]\(([^)#]*)(#[^)]*)?\)")
# `<number>`, but neither an address nor the empty sender.
PLACEHOLDER = re.compile(r"<[a-z]+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is that of its fence, from 1."""

    path: Path
    line: int
    kind: str
    text: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A block to run and the lines that it prints, perhaps none."""

    block: Block
    expected: tuple[str, ...]

    @property
    def looks(self) -> bool:
        """Whether it changes nothing."""
        return self.block.kind == "sh look"


def documents() -> list[Path]:
    """README.md, the chapters in the order of docs/index.md, and the other pages there."""
    index = ROOT / "docs" / "index.md"
    named = [index.parent / name for name, _ in LINK.findall(index.read_text(encoding="utf-8")) if name.endswith(".md")]
    return list(dict.fromkeys([ROOT / "README.md", index, *named]))


def broken_links(path: Path) -> list[str]:
    """Those of one page that lead to no file or heading of this repository."""
    return [
        f"{name}{anchor}"
        for name, anchor in LINK.findall(path.read_text(encoding="utf-8"))
        if _is_broken(path, name, anchor)
    ]


def _is_broken(path: Path, name: str, anchor: str) -> bool:
    if "://" in name:
        return False
    target = path.parent / name if name else path
    return not target.exists() or (bool(anchor) and anchor.removeprefix("#") not in _anchors(target))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of one page. Raises ValueError for one without an end."""
    kind: str | None = None
    began, text = 0, list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if kind is None and line.startswith(FENCE):
            kind, began, text = line.removeprefix(FENCE).strip(), number, []
        elif line == FENCE and kind is not None:
            yield Block(path=path, line=began, kind=kind, text="\n".join(text))
            kind = None
        elif kind is not None:
            text.append(line)
    if kind is not None:
        raise ValueError(f"{path}:{began}: a block without end")


def steps(found: list[Block]) -> list[Step]:
    """Blocks to run, each with the text that follows it."""
    made: list[Step] = []
    for before, block in zip([None, *found], found, strict=False):
        if block.kind in ("sh", "sh look"):
            made.append(Step(block=block, expected=()))
        elif block.kind == "text" and before is not None and before.kind in ("sh", "sh look"):
            lines = tuple(line.strip() for line in block.text.splitlines() if line.strip())
            made[-1] = Step(block=made[-1].block, expected=lines)
    return made


def pattern(line: str) -> re.Pattern[str]:
    """The line with its placeholders open."""
    fixed = PLACEHOLDER.split(line)
    return re.compile(".+".join(re.escape(part) for part in fixed))


def first_missing(expected: tuple[str, ...], output: str) -> str | None:
    """The first expected line that does not follow in order, or None."""
    lines = iter([line.strip() for line in output.splitlines()])
    for line in expected:
        wanted = pattern(line)
        if not any(wanted.fullmatch(each) for each in lines):
            return line
    return None


def type_in(text: str, environ: Mapping[str, str]) -> tuple[int, str]:
    """Exit code of a shell that is given the text, and everything that it shows."""
    done = subprocess.run(
        ["sh", "-eu", "-c", text],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def follow(step: Step, typed: Callable[[str], tuple[int, str]]) -> None:
    """Type it and compare; what only looks is looked at again while its text may still come. Raises AssertionError."""
    code, seen = 0, ""

    def there() -> bool:
        nonlocal code, seen
        code, seen = typed(step.block.text)
        return first_missing(step.expected, seen) is None

    try:
        if step.looks:
            eventually(there, step.block.where, LOOK_SECONDS)
        else:
            assert there() and code == 0, step.block.where
    except AssertionError as error:
        missing = first_missing(step.expected, seen)
        raise AssertionError(f"{error}: exit code {code}, {missing!r} is missing or out of order in\n{seen}") from None
