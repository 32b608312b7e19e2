"""`python -m tests.oracle [DIR] [--baseline] [KIND ...]`: run recorded cases and print a line for each kind."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.oracle.runner import BASELINE, KINDS, OWN_CASES, run_kind, write_differences

BUILD = Path("build") / "oracle"


def main() -> int:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle")
    parser.add_argument("directory", nargs="?", type=Path, default=OWN_CASES)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; default all")
    parser.add_argument("--baseline", action="store_true", help="note the equal cases as those that must stay equal")
    arguments = parser.parse_args()
    if not arguments.directory.is_dir():
        parser.error(f"{arguments.directory}: expected a directory with recorded cases")
    # Roles log to standard output, where scripts read one line for each kind and no other.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    for kind in arguments.kinds or KINDS:
        result = run_kind(kind, arguments.directory)
        if result is None:
            continue
        print(result.line(), file=told, flush=True)
        write_differences(result, BUILD)
        if arguments.baseline:
            BASELINE.mkdir(exist_ok=True)
            (BASELINE / f"{kind}.txt").write_text("\n".join(sorted(result.equal)) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
