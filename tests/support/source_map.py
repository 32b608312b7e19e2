"""CONTRIBUTING.md's map: each package's own first line; `python -m tests.support.source_map` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.source import ROOT

DOCUMENT = ROOT / "CONTRIBUTING.md"
_BEGIN, _END = "```text map\n", "```\n"


def rendered() -> str:
    """A line a package, below its parent."""
    packages = [path.parent for top in ("qmail", "services", "supervise") for path in (ROOT / top).rglob("__init__.py")]
    return "".join(_line(package.relative_to(ROOT)) for package in sorted(packages))


def _line(package: Path) -> str:
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return f"{package}/".ljust(28) + " ".join(text.partition("\n\n")[0].split()) + "\n"


def written() -> str:
    """The map as CONTRIBUTING.md has it."""
    return DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0]


if __name__ == "__main__":
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
    DOCUMENT.write_text(before + begin + rendered() + _END + rest.partition(_END)[2], encoding="utf-8")
