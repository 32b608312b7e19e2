"""The passwords of control/smtproutes, apart from it: programs of users read control/, this file delivery-remote alone.

`smtproutes.passwords` among delivery-remote's credentials: `relay:port user password` in each line, the password to the
line's end. Pure.

Why: docs/decisions/0028-passwords-of-routes.md.
"""

from __future__ import annotations

from collections.abc import Mapping

FILE = "smtproutes.passwords"
SMTP_PORT = 25


def relay_name(host: bytes, port: int) -> bytes:
    """As the file has it: in lower case, with its port."""
    return host.lower() + b":%d" % port


def parse_passwords(content: bytes) -> dict[tuple[bytes, bytes], bytes]:
    """Password by relay and user. A line that is none is nothing: a password is missing then, and mail waits."""
    lines = (line.split(b" ", 2) for line in content.split(b"\n"))
    return {(words[0], words[1]): words[2] for words in lines if len(words) == 3}


def render_passwords(passwords: Mapping[tuple[bytes, bytes], bytes]) -> bytes:
    """The file. Raises ValueError for what does not fit in a line."""
    for (relay, user), password in passwords.items():
        if not user or not password or b" " in relay + user or b"\n" in relay + user + password or b"\0" in password:
            raise ValueError("expected a user without blanks, and a password of one line")
    return b"".join(b"%s %s %s\n" % (*key, passwords[key]) for key in sorted(passwords))
