"""Maildirs full of mail as it is: names as delivery gives them, messages with the fields and parts that people send."""

from __future__ import annotations

import base64
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

_SUBJECTS = ("Rapat hari Senin", "Re: anggaran 2004", "[linux-aktif] kernel 2.6", "=?utf-8?q?Selamat_ulang_tahun?=")
_PEOPLE = ("Ari Nugroho <ari@xeris.com>", "joni@xeris.com", '"Dewi, S." <dewi@example.net>', "Budi <budi@example.org>")
_START = 1_700_000_000


def message(number: int, chance: random.Random) -> bytes:
    """About 3 kB: a text and its HTML, one in five with an attachment. Lines end with LF."""
    text = "".join(f"baris {line} pesan {number} {chance.randrange(10**9)} apa kabar\n" for line in range(15))
    html = f"<html><body><p>{text}</p></body></html>\n"
    parts = [
        f'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n{text}',
        f'Content-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n{html}',
    ]
    if number % 5 == 0:
        octets = base64.encodebytes(chance.randbytes(900)).decode()
        disposition = f'Content-Disposition: attachment; filename="laporan{number}.pdf"'
        kind = f'Content-Type: application/pdf; name="laporan{number}.pdf"'
        parts.append(f"{kind}\nContent-Transfer-Encoding: base64\n{disposition}\n\n{octets}")
    boundary = f"----=_Part_{number}_{chance.randrange(10**9)}"
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    kind = f'Content-Type: multipart/{"mixed" if number % 5 == 0 else "alternative"}; boundary="{boundary}"'
    return f"{header(number, chance)}MIME-Version: 1.0\n{kind}\n\n{body}--{boundary}--\n".encode()


def header(number: int, chance: random.Random) -> str:
    """Fields that most messages have, in a thread with the nine before."""
    hop = (
        f"Received: from mail{number % 7}.example.net (192.0.2.{number % 250})\n\tby mail.xeris.com; {_date(number)}\n"
    )
    first = f"<{number - number % 10}.a@example.net>"
    refs = f"In-Reply-To: {first}\nReferences: {first}\n" if number % 10 else ""
    return (
        f"Return-Path: <list-{number}@example.net>\nDelivered-To: joni@xeris.com\n{hop}"
        f"Date: {_date(number)}\nFrom: {chance.choice(_PEOPLE)}\nTo: joni@xeris.com, {chance.choice(_PEOPLE)}\n"
        f"Subject: {chance.choice(_SUBJECTS)} {number // 10}\nMessage-ID: <{number}.a@example.net>\n{refs}"
        f"X-Mailer: Example 1.{number % 9}\nList-Id: <linux-aktif.example.net>\n"
    )


def _date(number: int) -> str:
    return f"Mon, {1 + number % 28} Nov 2004 {number % 24:02}:{number % 60:02}:{number * 7 % 60:02} +0700"


def plain(number: int, chance: random.Random) -> bytes:
    """3,000 octets with a text."""
    head = f"{header(number, chance)}\n".encode()
    return (head + b"apa kabar, sampai besok di kantor pusat ya\n" * 80)[:2999] + b"\n"


def name(number: int) -> str:
    """As delivery names message `number`, seen by nobody or, two in three, read."""
    seconds = _START + number * 11
    chance = random.Random(number)
    identity = (seconds - 1_577_836_800) * 10**9 + chance.randrange(10**9)
    return f"{seconds}.{identity}0001.mail.xeris.com:2,{'' if number % 3 == 0 else 'S'}"


def fill(maildir: Path, count: int, make: Callable[[int, random.Random], bytes], uid: int) -> None:
    """A Maildir, or a folder in one, with that many messages of `make` in cur; all of it belongs to `uid`."""
    chance = random.Random(count)
    prepare(maildir, uid)
    for number in range(count):
        path = maildir / "cur" / name(number)
        path.write_bytes(make(number, chance))
        own(path, uid)
        os.utime(path, (_START + number * 11,) * 2)


def prepare(maildir: Path, uid: int) -> None:
    """Empty, with the parents that are missing."""
    shutil.rmtree(maildir, ignore_errors=True)
    for directory in (maildir.parent, maildir, *(maildir / part for part in ("new", "cur", "tmp"))):
        directory.mkdir(mode=0o700, exist_ok=True)
        own(directory, uid)


def folder(maildir: Path, title: str, uid: int, source: Path) -> None:
    """A folder whose messages are those of `source`, by hard links, under the same names."""
    where = maildir / f".{title}"
    prepare(where, uid)
    (where / "maildirfolder").touch()
    own(where / "maildirfolder", uid)
    for entry in os.scandir(source / "cur"):
        os.link(entry.path, where / "cur" / entry.name)


def many(maildir: Path, title: str, uid: int, count: int) -> None:
    """A folder of so many messages, where nothing but their number counts: all are links of one small file."""
    where = maildir / f".{title}"
    prepare(where, uid)
    one = where / "tmp" / "one"
    one.write_bytes(f"{header(1, random.Random(1))}\nhalo\n".encode())
    own(one, uid)
    for number in range(count):
        os.link(one, where / "cur" / name(number))
    one.unlink()


def own(path: Path, uid: int) -> None:
    """Give it to an account."""
    os.chown(path, uid, uid)
