"""multilog: what a pattern selects, and when a file ends; tests/oracle has the recorded runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.programs.log_directory import LogDirectory
from services.programs.multilog import Script, matches


@pytest.mark.parametrize(
    ("pattern", "line", "wanted"),
    [
        (b"", b"", True),
        (b"*", b"anything", True),
        (b"* status *", b"@40 status x", True),
        (b"*tar*", b"x tatar", False),  # the star ends at the first t
        (b"*start*", b"start", True),
        (b"a*b", b"axb", True),
        (b"a*b", b"axbb", False),
        (b"ab", b"abc", False),
        (b"abc", b"ab", False),
        (b"-*", b"x", False),
    ],
)
def test_a_star_goes_to_the_next_octet_of_the_pattern(pattern: bytes, line: bytes, wanted: bool) -> None:
    assert matches(pattern, line) is wanted


def logged(directory: Path, words: list[bytes], lines: list[bytes]) -> None:
    here = os.getcwd()
    os.chdir(directory)
    try:
        script = Script(words)
        for line in lines:
            script.take(line)
            script.flush()
        for each in script.directories:
            each.close()
    finally:
        os.chdir(here)


def test_each_directory_has_what_is_selected_where_it_stands(tmp_path: Path) -> None:
    words = [b"-*", b"+*alpha*", b"./a", b"-*one*", b"./b", b"=status"]
    logged(tmp_path, words, [b"alpha one", b"beta", b"alpha two"])
    assert (tmp_path / "a" / "current").read_bytes() == b"alpha one\nalpha two\n"
    assert (tmp_path / "b" / "current").read_bytes() == b"alpha two\n"
    assert (tmp_path / "status").read_bytes().rstrip(b"\n") == b"alpha two"
    assert (tmp_path / "status").stat().st_size == 1001


def test_a_full_file_ends_at_a_line_and_the_oldest_goes(tmp_path: Path) -> None:
    line = b"x" * 99
    logged(tmp_path, [b"s4096", b"n3", b"./main"], [b"%04d" % number + line for number in range(200)])
    files = sorted((tmp_path / "main").glob("@*.s"))
    assert len(files) == 2, "two beside current"
    assert all(path.stat().st_size <= 4096 and path.read_bytes().endswith(b"\n") for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o744 for path in files)
    kept = b"".join(path.read_bytes() for path in [*files, tmp_path / "main" / "current"]).split()
    assert [int(each[:4]) for each in kept] == list(range(200 - len(kept), 200))


def test_a_processor_has_the_file_before_it_is_put_away(tmp_path: Path) -> None:
    words = [b"s4096", b"!tr a-z A-Z; echo state >&5", b"./main"]
    logged(tmp_path, words, [b"x" * 99 for _ in range(60)])
    (finished, *_) = sorted((tmp_path / "main").glob("@*.s"))
    assert set(finished.read_bytes()) == {ord("X"), ord("\n")}
    assert (tmp_path / "main" / "state").read_text() == "state\n"


def test_a_file_that_was_cut_off_is_put_away_as_such(tmp_path: Path) -> None:
    first = LogDirectory(os.fsencode(tmp_path / "main"), 4096, 3, b"")
    first.write(b"half")
    first.flush()
    os.close(first._lock)
    again = LogDirectory(os.fsencode(tmp_path / "main"), 4096, 3, b"")
    again.write(b"new\n")
    again.close()
    assert [path.read_bytes() for path in (tmp_path / "main").glob("@*.u")] == [b"half"]
    assert (tmp_path / "main" / "current").read_bytes() == b"new\n"


def test_a_directory_has_one_writer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = os.fsencode(tmp_path / "main")
    held = LogDirectory(name, 4096, 3, b"")
    with pytest.raises(SystemExit) as ends:
        LogDirectory(name, 4096, 3, b"")
    assert ends.value.code == 111
    assert "unable to lock directory" in capfd.readouterr().err
    held.close()
