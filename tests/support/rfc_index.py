"""docs/rfc.md from the comments: which section of which RFC stands behind which file.

`python -m tests.support.rfc_index` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.source import ROOT

DOCUMENT = ROOT / "docs" / "rfc.md"
TITLES = {
    822: "Standard for the Format of ARPA Internet Text Messages",
    1035: "Domain Names - Implementation and Specification",
    1123: "Requirements for Internet Hosts",
    1428: "Transition of Internet Mail from Just-Send-8 to 8bit-SMTP/MIME",
    1460: "Post Office Protocol, Version 3 (obsolete)",
    1870: "SMTP Service Extension for Message Size Declaration",
    1912: "Common DNS Operational and Configuration Errors",
    1939: "Post Office Protocol, Version 3",
    2045: "MIME, Part One: Format of Message Bodies",
    2046: "MIME, Part Two: Media Types",
    2047: "MIME, Part Three: Header Extensions for Non-ASCII Text",
    2086: "IMAP4 ACL Extension",
    2177: "IMAP4 IDLE command",
    2183: "The Content-Disposition Header Field",
    2195: "IMAP/POP AUTHorize Extension for Simple Challenge/Response",
    2231: "MIME Parameter Value and Encoded Word Extensions",
    2317: "Classless IN-ADDR.ARPA delegation",
    2342: "IMAP4 Namespace",
    2449: "POP3 Extension Mechanism",
    2595: "Using TLS with IMAP, POP3 and ACAP",
    2920: "SMTP Service Extension for Command Pipelining",
    2971: "IMAP4 ID extension",
    3206: "The SYS and AUTH POP Response Codes",
    3207: "SMTP Service Extension for Secure SMTP over TLS",
    3282: "Content Language Headers",
    3339: "Date and Time on the Internet: Timestamps",
    3461: "SMTP Service Extension for Delivery Status Notifications",
    3501: "Internet Message Access Protocol, Version 4rev1",
    3502: "IMAP MULTIAPPEND Extension",
    3516: "IMAP4 Binary Content Extension",
    3691: "IMAP UNSELECT command",
    3848: "ESMTP and LMTP Transmission Types Registration",
    4291: "IP Version 6 Addressing Architecture",
    4314: "IMAP4 Access Control List (ACL) Extension",
    4315: "IMAP UIDPLUS extension",
    4511: "Lightweight Directory Access Protocol",
    4513: "LDAP: Authentication Methods and Security Mechanisms",
    4616: "The PLAIN SASL Mechanism",
    4731: "IMAP4 Extension to SEARCH Command (ESEARCH)",
    4865: "SMTP Submission Service Extension for Future Message Release",
    4954: "SMTP Service Extension for Authentication",
    4959: "IMAP Extension for SASL Initial Client Response",
    4978: "The IMAP COMPRESS Extension",
    5032: "WITHIN Search Extension to the IMAP Protocol",
    5034: "The POP3 SASL Authentication Mechanism",
    5051: "i;unicode-casemap - Simple Unicode Collation Algorithm",
    5161: "The IMAP ENABLE Extension",
    5182: "IMAP Extension for Referencing the Last SEARCH Result",
    5246: "The Transport Layer Security Protocol, Version 1.2",
    5256: "IMAP SORT and THREAD Extensions",
    5258: "IMAP4 LIST Command Extensions",
    5267: "Contexts for IMAP4",
    5280: "Internet X.509 Public Key Infrastructure Certificate",
    5321: "Simple Mail Transfer Protocol",
    5322: "Internet Message Format",
    5530: "IMAP Response Codes",
    5819: "IMAP4 Extension for Returning STATUS Information in Extended LIST",
    5890: "Internationalized Domain Names for Applications",
    5957: "Display-Based Address Sorting for the IMAP4 SORT Extension",
    6152: "SMTP Service Extension for 8-bit MIME Transport",
    6154: "IMAP LIST Extension for Special-Use Mailboxes",
    6177: "IPv6 Address Assignment to End Sites",
    6409: "Message Submission for Mail",
    6531: "SMTP Extension for Internationalized Email",
    6532: "Internationalized Email Headers",
    6851: "IMAP MOVE Extension",
    7162: "IMAP Extensions: CONDSTORE and QRESYNC",
    7435: "Opportunistic Security",
    7505: "A Null MX No Service Resource Record",
    7888: "IMAP4 Non-synchronizing Literals",
    7889: "The IMAP APPENDLIMIT Extension",
    8314: "Cleartext Considered Obsolete",
    8437: "IMAP UNAUTHENTICATE Extension for Connection Reuse",
    8438: "IMAP Extension for STATUS=SIZE",
    8440: "IMAP4 Extension for Returning MYRIGHTS Information in Extended LIST",
    8446: "The Transport Layer Security Protocol, Version 1.3",
    8474: "IMAP Extension for Object Identifiers",
    8514: "Internet Message Access Protocol (IMAP) - SAVEDATE Extension",
    8970: "IMAP4 Extension: Message Preview Generation",
    8981: "Temporary Address Extensions for IPv6",
    9106: "Argon2 Memory-Hard Function",
    9208: "IMAP QUOTA Extension",
    9394: "IMAP PARTIAL Extension for Paged SEARCH and FETCH",
}
_NAMED = re.compile(
    r"RFC (?P<number>[0-9]{3,5})"
    r"(?:,? sections? (?P<words>[0-9]+(?:\.[0-9]+)*)| (?P<bare>[0-9]+(?:\.[0-9]+)*))?(?![0-9])"
)
_HEAD = """# RFC sections and where they stand

Made from the comments by `python -m tests.support.rfc_index`; a test compares it.
A line without a section is about the whole RFC.
"""


def cited() -> Iterator[tuple[int, str, Path]]:
    """(RFC, section or "", file) of each mention in the product; a mention may go over the end of a comment's line."""
    for top in ("qmail", "services", "supervise"):
        for path in sorted((ROOT / top).rglob("*.py")):
            text = re.sub(r"\s*\n\s*(?:# ?)?", " ", path.read_text(encoding="utf-8"))
            for found in _NAMED.finditer(text):
                yield int(found["number"]), found["words"] or found["bare"] or "", path.relative_to(ROOT)


def rendered() -> str:
    """The document. Raises KeyError for an RFC without a title here: a wrong number, or a line to add."""
    places: dict[int, dict[str, set[Path]]] = {}
    for number, section, path in cited():
        places.setdefault(number, {}).setdefault(section, set()).add(path)
    parts = [_HEAD]
    for number in sorted(places):
        parts.append(f"\n## RFC {number}: {TITLES[number]}\n\n| section | files |\n|---|---|\n")
        for section in sorted(places[number], key=_in_order):
            files = ", ".join(f"[{path}](../{path})" for path in sorted(places[number][section]))
            parts.append(f"| {section} | {files} |\n")
    return "".join(parts)


def _in_order(section: str) -> list[int]:
    return [int(part) for part in section.split(".")] if section else []


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(), encoding="utf-8")
