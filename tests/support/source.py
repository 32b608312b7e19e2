"""The project's source as the architecture tests see it: which file belongs to which role, and what it imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from services.admin.rights import read_rights

ROOT = Path(__file__).resolve().parents[2]
RIGHTS = read_rights()
OURS = {role.name: role for role in RIGHTS.roles.values() if not role.stock}


def room(role: str) -> str:
    """The module below which all of the role's own code lies."""
    if role == "bounce":
        return "services.queue.bounce"
    return str(OURS[role].program)


def shared_rooms(role: str) -> tuple[str, ...]:
    """What it may import of services/: its own room, that of the container that it is a part of, and the commands
    that it carries."""
    whole = OURS[role].part_of
    rooms = (room(role), *RIGHTS.carried_rooms(role))
    if role.startswith("delivery-"):
        # Two programs in one folder: what lies directly in it belongs to both.
        return (*rooms, "services.delivery")
    return rooms if whole is None else (*rooms, room(whole))


def files_of(role: str) -> list[Path]:
    """The role's own files."""
    top = ROOT / room(role).replace(".", "/")
    files = sorted(top.rglob("*.py"))
    if role == "queue":
        return [path for path in files if "bounce" not in path.relative_to(top).parts[:1]]
    if role.startswith("delivery-"):
        files += sorted((ROOT / "services" / "delivery").glob("*.py"))
    return files


@cache
def tree_of(path: Path) -> ast.Module:
    """The file as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """All that the file consists of."""
    return tuple(ast.walk(tree_of(path)))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that the file imports anywhere, as a dotted name; `from qmail.bus import subjects` is
    qmail.bus.subjects where that is a module."""
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            names.update(_imported(str(node.module), alias.name) for alias in node.names)
    return frozenset(names)


def _imported(module: str, name: str) -> str:
    full = f"{module}.{name}"
    path = ROOT / full.replace(".", "/")
    return full if path.with_suffix(".py").exists() or path.is_dir() else module


def file_of(module: str) -> Path:
    """The file of a module of ours."""
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def library_of(role: str) -> set[str]:
    """The modules of qmail/ that the role's own files import, without the leading `qmail.`."""
    return library_in(files_of(role))


def library_in(files: Iterable[Path]) -> set[str]:
    """The same for any files."""
    found = {name for path in files for name in imports_of(path) if name.split(".")[0] == "qmail"}
    return {name.removeprefix("qmail.") for name in found}


def packages_of(role: str) -> set[str]:
    """Packages of the index that the role needs at run time: its own imports and those of the library it uses."""
    return packages_in(files_of(role))


def packages_in(files: Iterable[Path]) -> set[str]:
    """The same for any files."""
    names = {name.split(".")[0] for path in with_library(files) for name in imports_of(path)}
    return names - {"qmail", "services", *sys.stdlib_module_names}


def with_library(files: Iterable[Path]) -> set[Path]:
    """These files and what of the library is loaded for them."""
    seen: set[Path] = set()
    todo = list(files)
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [file_of(name) for name in imports_of(path) if name.split(".")[0] == "qmail"]
    return seen


if __name__ == "__main__":
    # For whoever changes imports on purpose: the lines as RIGHTS.toml should have them.
    for each in OURS:
        print(f"[role.{each}]\nlibrary = {sorted(library_of(each))}\npackages = {sorted(packages_of(each))}\n")
