from __future__ import annotations

from pathlib import Path

from services.admin.accounts.private_mounts import closed_above, obstacles


def tree(top: Path, closed: str) -> None:
    for name in ("a/b/c", "a/d", "e"):
        (top / name).mkdir(parents=True)
    top.chmod(0o755)
    (top / closed).chmod(0o700)


def test_the_topmost_closed_directory_is_the_obstacle(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    (tmp_path / "a/b").chmod(0o700)
    # pytest's own directories may lie below a closed one.
    expected = closed_above(tmp_path) or tmp_path / "a"
    assert closed_above(tmp_path / "a/b/c") == expected


def test_what_lies_in_a_needed_directory_needs_no_way_of_its_own(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    closed = closed_above(tmp_path) or tmp_path / "a"
    found = obstacles([tmp_path / "a/b/c", tmp_path / "a/b", tmp_path / "a/d", tmp_path / "a/b"])
    assert found == {closed: [tmp_path / "a/b", tmp_path / "a/d"]}


def test_an_open_way_needs_nothing() -> None:
    assert obstacles([Path("/usr/bin"), Path("/usr")]) == {}
