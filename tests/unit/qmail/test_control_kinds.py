"""What a control file means: as a person means it, and to qmail's letter."""

from __future__ import annotations

from typing import Any

import pytest

from qmail.control.bad_addresses import plain_entries
from qmail.control.kinds import ROUTES, Fault, Number
from qmail.control.table import (
    AUTHDAEMONRC,
    AUTHMODULELIST,
    BADMAILFROM,
    BOUNCEFROM,
    DATABYTES,
    DEFAULTDELIVERY,
    EXTENSIONS,
    HELOHOST,
    LOCALIPS,
    LOCALS,
    ME,
    NOTLSHOSTS,
    RCPTHOSTS,
    SMTPDHANDLER,
    SMTPGREETING,
    SMTPROUTES,
    TCP_SMTP,
    VIRTUALDOMAINS,
    ControlFile,
)
from tests.support.courier_files import AFTER, BEFORE


@pytest.mark.parametrize(
    ("file", "content", "value"),
    [
        (DATABYTES, b"1000\r\n", 1000),
        (DATABYTES, b" 1000\n", 1000),
        (DATABYTES, b"1000 \t\r\n# so much\n", 1000),
        (DATABYTES, b"", None),
        (SMTPDHANDLER, b" acme.filter:Filter \r\n", b"acme.filter:Filter"),
        (SMTPDHANDLER, b"\n", None),
        (DATABYTES, b"\r\n", None),
        (LOCALS, b"Mail.xeris.com\r\nxeris.com\r\n", {b"mail.xeris.com", b"xeris.com"}),
        (LOCALS, b"  xeris.com\t\r\n\r\n # comment\n#comment\nlast.org", {b"xeris.com", b"last.org"}),
        (LOCALS, b"", set()),
        (RCPTHOSTS, b".xeris.com\r\n", {b".xeris.com"}),
        (RCPTHOSTS, "b\u00fccher.example\r\n".encode(), {"b\u00fccher.example".encode()}),
        (BADMAILFROM, b"@Spam.example\r\njoe smith@spam.example\n",
         plain_entries([b"@spam.example", b"joe smith@spam.example"])),
        (VIRTUALDOMAINS, b"Virt.org:joni\r\n.:joe\n:all\nvip@far.org:boss \nout.org:\n",
         {b"virt.org": b"joni", b".": b"joe", b"": b"all", b"vip@far.org": b"boss", b"out.org": b""}),
        (VIRTUALDOMAINS, b"a.org:one\nA.org:two\n", {b"a.org": b"two"}),
        (SMTPROUTES, b":[2001:db8::1]:2525\r\nA.org:relay\nb.org:\n",
         {b"": b"[2001:db8::1]:2525", b"a.org": b"relay", b"b.org": b""}),
        (LOCALIPS, b"127.0.0.1\r\n[192.0.2.1]\n[IPv6:2001:DB8:0::1]\n", {"127.0.0.1", "192.0.2.1", "2001:db8::1"}),
        (NOTLSHOSTS, b"old.example\r\n2001:db8::1\n", {b"old.example", b"2001:db8::1"}),
        (ME, b"mail.xeris.com\r\n", b"mail.xeris.com"),
        (ME, b"\n", None),
        (HELOHOST, b" [192.0.2.1] \r\n", b"[192.0.2.1]"),
        (SMTPGREETING, b"mail.xeris.com hello there\r\n", b"mail.xeris.com hello there"),
        (EXTENSIONS, b"none\r\n", True),
        (EXTENSIONS, b"", False),
        (DEFAULTDELIVERY, b"./Maildir/\r\n|prog arg \r\n", b"./Maildir/\n|prog arg"),
    ],
)  # fmt: skip
def test_line_ends_of_windows_and_blanks_around_are_nothing(
    file: ControlFile[Any], content: bytes, value: object
) -> None:
    assert file.parse(content, exact=False) == value


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        (DATABYTES, b"10M\n", "1: expected a number of bytes, found '10M'"),
        (DATABYTES, b"fifty\n", "1: expected a number of bytes, found 'fifty'"),
        (DATABYTES, b"-1\n", "1: expected a number of bytes, found '-1'"),
        (DATABYTES, b"10 20\n", "1: expected a number of bytes, found '10 20'"),
        (DATABYTES, b"# so much\n10\n", "1: expected a number of bytes, found '# so much'"),
        (DATABYTES, BOM + b"10\n", "1: expected a number of bytes, found a byte order mark before it"),
        (DATABYTES, "\u0661\n".encode(), "1: expected a number of bytes, found '\\u0661'"),
        (LOCALS, BOM + b"xeris.com\n", "1: expected one domain name, found a byte order mark before it"),
        (LOCALS, BOM + b"# ours\nxeris.com\n", "1: expected one domain name, found a byte order mark before it"),
        (LOCALS, "xeris.com\n".encode("utf-16"), "1: expected one domain name, found a byte order mark before it"),
        (RCPTHOSTS, b"\nxeris.com # ours\n", "2: expected one domain, or .domain, found 'xeris.com # ours'"),
        (RCPTHOSTS, b"a.org b.org\r\n", "1: expected one domain, or .domain, found 'a.org b.org'"),
        (RCPTHOSTS, b"joni@a.org\n", "1: expected one domain, or .domain, found 'joni@a.org'"),
        (LOCALS, b"a.org\rb.org\r", "1: expected one domain name, found 'a.org\\rb.org'"),
        (BADMAILFROM, b"a@b.org c@d.org\n", "1: expected one address, or @domain, found 'a@b.org c@d.org'"),
        (BADMAILFROM, b"a@b.org # him\n", "1: expected one address, or @domain, found 'a@b.org # him'"),
        (VIRTUALDOMAINS, b"virt.org\n", "1: expected domain:prefix, found 'virt.org'"),
        (VIRTUALDOMAINS, b"virt.org:joni # hers\n", "1: expected domain:prefix, found 'virt.org:joni # hers'"),
        (VIRTUALDOMAINS, BOM + b"virt.org:joni\n", "1: expected domain:prefix, found a byte order mark before it"),
        (SMTPROUTES, b"a.org:relay:smtp\n", f"1: expected {ROUTES.expected}, found 'a.org:relay' and more"),
        (SMTPROUTES, b"a.org: relay\n", f"1: expected {ROUTES.expected}, found 'a.org:' and more"),
        (LOCALIPS, b"127.0.0.1\n192.0.2.0/24\n", "2: expected one IP address, found '192.0.2.0/24'"),
        (ME, b"mail.xeris.com xeris.com\n",
         "1: expected this host's name, as in mail.xeris.com, found 'mail.xeris.com xeris.com'"),
        (ME, b"# me\n", "1: expected this host's name, as in mail.xeris.com, found '# me'"),
        (BOUNCEFROM, b"a\x1bb\n", "1: expected the part before the @ of an address, found 'a\\x1bb'"),
        (SMTPDHANDLER, b"acme.filter\n", "1: expected package.module:Class, found 'acme.filter'"),
        (SMTPDHANDLER, b"acme/filter:Filter\n", "1: expected package.module:Class, found 'acme/filter:Filter'"),
        (SMTPDHANDLER, b"acme.filter:Filter x\n", "1: expected package.module:Class, found 'acme.filter:Filter x'"),
        (EXTENSIONS, b"off\n", "1: expected none, or no such file, found 'off'"),
        (DEFAULTDELIVERY, b" \n", "1: expected delivery instructions, as in ./Maildir/, found nothing"),
        (TCP_SMTP, b":allow\n127.0.0.1 allow\n",
         "2: expected addresses:allow or addresses:deny, found no colon in '127.0.0.1 allow'"),
    ],
)  # fmt: skip
def test_what_can_only_be_a_mistake_is_told_with_its_line(file: ControlFile[Any], content: bytes, fault: str) -> None:
    found = file.parse(content, exact=False)
    assert isinstance(found, Fault) and str(found) == fault


@pytest.mark.parametrize(
    ("file", "content", "value"),
    [
        (DATABYTES, b"10M\n", 10),
        (DATABYTES, b"fifty\n", None),
        (DATABYTES, b" 1000\n", None),
        (LOCALS, b"xeris.com\r\na b\t\n #x\n#y\n\n", {b"xeris.com\r", b"a b", b" #x"}),
        (VIRTUALDOMAINS, b"virt.org:joni  \nno colon\n x : y\n", {b"virt.org": b"joni", b" x ": b" y"}),
        (HELOHOST, b"\n", b""),
        (ME, b"  host.x  \t\nsecond\n", b"  host.x"),
        (LOCALIPS, b"127.0.0.1\r\n", {"127.0.0.1"}),
    ],
)
def test_with_extensions_none_qmail_s_files_are_read_to_its_letter_and_ours_as_ever(
    file: ControlFile[Any], content: bytes, value: object
) -> None:
    assert file.parse(content, exact=True) == value


def test_a_number_below_the_least_counts_as_the_least() -> None:
    assert Number("seconds", least=1).parse(b"0\n") == 1


def test_courier_s_authdaemonrc_is_read_as_the_tutorial_prints_it() -> None:
    names = (b"authcustom", b"authcram", b"authuserdb", b"authldap", b"authpgsql", b"authpam")
    assert AUTHDAEMONRC.parse(BEFORE.encode(), exact=False) == names
    assert AUTHDAEMONRC.parse(AFTER.replace("\n", "\r\n").encode(), exact=False) == (b"authpam",)
    assert AUTHDAEMONRC.parse(b"daemons=1\n", exact=False) is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'authmodulelist="authpam\n', 1),
        (b"\ndaemons=one\n", 2),
        (b"# x\nauthpam\n", 2),
        (b"daemons=1\n\x80\n", 2),
        (b"\ndaemons=\xff\n", 2),
        (b"daemons=1\n\nauthmodulelist='authpam, authuserdb'\n", 3),
    ],
)
def test_an_authdaemonrc_that_cannot_be_meant_is_named_by_its_line(content: bytes, line: int) -> None:
    fault = AUTHDAEMONRC.parse(content, exact=False)
    assert isinstance(fault, Fault) and fault.line == line


def test_the_list_itself_comes_before_courier_s_file() -> None:
    assert AUTHMODULELIST.stands_in is AUTHDAEMONRC
    assert AUTHMODULELIST.parse(b" authuserdb  authpam \r\n", exact=False) == (b"authuserdb", b"authpam")
