"""The homes, alias and users/assign of a recorded case of qmail-send."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.admin.accounts.assign import User, alias_lines, check_name, render_assign, user_lines
from tests.oracle.kinds.remote import to_bytes

QMAIL_UIDS = {
    "alias": 1003,
    "qmaild": 1004,
    "qmaill": 1005,
    "qmailp": 1006,
    "qmailq": 1007,
    "qmailr": 1008,
    "qmails": 1009,
}
USERS = {"ari": 2001, "joni": 2002, "joe": 2003, "diva": 2004}


class Homes:
    """Everything below one directory: home/NAME, alias, users/assign. As root with owners, else the caller's."""

    def __init__(self, root: Path, given: dict[str, Any]) -> None:
        self.root = root
        self._given = given
        self._as_root = os.geteuid() == 0
        self._owners: dict[Path, int] = {}
        self._sealed: dict[Path, bytes] = {}

    def make(self) -> None:
        """Homes with their Maildirs and the case's files, and users/assign."""
        self._owners = {self.root / "alias": QMAIL_UIDS["alias"]}
        self._make_home(self.root / "alias", {"uid": QMAIL_UIDS["alias"]})
        entries = list(self._passwd())
        for entry in entries:
            if "nohome" not in entry:
                self._make_home(self._home_of(entry), entry)
        for file in self._given["files"]:
            self._make_file(file)
        self._sealed = {path: path.read_bytes() for path in self._below() if path.is_file()}
        for entry in entries:
            if "mode" in entry:
                self._home_of(entry).chmod(int(entry["mode"], 8))
        (self.root / "users").mkdir()
        (self.root / "users" / "assign").write_text(self._assign(entries))

    def _passwd(self) -> Iterator[dict[str, Any]]:
        removed = self._given.get("passwd_remove", ())
        for user, uid in USERS.items():
            if user not in removed:
                yield {"user": user, "uid": uid}
        yield from self._given.get("passwd_extra", ())

    def _home_of(self, entry: dict[str, Any]) -> Path:
        return self._place(entry.get("home", f"/home/{entry['user']}"))

    def _make_home(self, home: Path, entry: dict[str, Any]) -> None:
        self._owners[home] = entry["uid"]
        made = [home] if entry.get("nomaildir") else [home, *(home / "Maildir" / sub for sub in ("tmp", "new", "cur"))]
        for directory in made:
            directory.mkdir(parents=True, mode=0o755)
        for directory in (home, *(path for path in home.rglob("*"))):
            self._own(directory, entry["uid"])
        self._own(home, entry.get("owner", entry["uid"]))

    def _own(self, path: Path, uid: int) -> None:
        if self._as_root:
            os.chown(path, uid, uid)

    def _make_file(self, file: dict[str, Any]) -> None:
        path = self._place(file["path"])
        path.write_bytes(to_bytes(file["content"]))
        path.chmod(int(file.get("mode", "0644"), 8))
        home = next(home for home in self._owners if home in path.parents)
        self._own(path, self._owners[home])

    def _place(self, path: str) -> Path:
        return self.root / path.replace("/var/qmail/", "").lstrip("/")

    def _assign(self, entries: list[dict[str, Any]]) -> str:
        """The case's users/assign, and behind it what qmail-pw2u(8) makes of passwd: nobody with uid 0, nobody whose
        home is not his own. qmail reads assign first, so no entry may stand before a wildcard that covers it."""
        text = self._given.get("assign", ".\n").replace("/home/", f"{self.root}/home/")
        lines = text.partition(".\n")[0].splitlines()
        covered = tuple(line[1:].partition(":")[0].lower() for line in lines if line.startswith("+"))
        for entry in entries:
            if self._may_receive(entry) and not (covered and entry["user"].startswith(covered)):
                lines += user_lines(User(name=entry["user"], uid=entry["uid"], home=self._home_of(entry)))
        own, extended, others = alias_lines(QMAIL_UIDS["alias"], self.root / "alias")
        if not (covered and "alias".startswith(covered)):
            lines += [own, extended]
        if "" not in covered:
            lines.append(others)
        return render_assign(lines)

    def _may_receive(self, entry: dict[str, Any]) -> bool:
        try:
            check_name(entry["user"])
        except ValueError:
            return False
        uid = int(entry["uid"])
        return uid != 0 and "nohome" not in entry and entry.get("owner", uid) == uid

    def changed(self) -> list[dict[str, Any]]:
        """New and changed files, their content as it is."""
        found = [path for path in self._below() if path.is_file() and self._sealed.get(path) != path.read_bytes()]
        return [self._fact(path) for path in sorted(found)]

    def _below(self) -> Iterator[Path]:
        for top in ("home", "alias"):
            yield from (self.root / top).rglob("*")

    def _fact(self, path: Path) -> dict[str, Any]:
        facts = path.stat()
        owner = {uid: name for name, uid in QMAIL_UIDS.items()}.get(facts.st_uid, str(facts.st_uid))
        shown = re.sub("^alias/", "var/qmail/alias/", str(path.relative_to(self.root)))
        return {
            "path": re.sub(r"/\d{10}\.\d+\.[^/]*$", "/<TIME>.<PID>.<HOSTNAME>", f"/{shown}"),
            "owner": owner if self._as_root else None,
            "mode": f"{stat.S_IMODE(facts.st_mode):04o}",
            "content": path.read_bytes(),
        }
