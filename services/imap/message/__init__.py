"""A message as IMAP shows it: ENVELOPE, BODY, BODYSTRUCTURE and sections, from the bytes of its file. Pure."""

from __future__ import annotations

from services.imap.message.bodystructure import body, bodystructure
from services.imap.message.envelope import envelope
from services.imap.message.header import Field, read_header
from services.imap.message.parse import Message, Part, parse, parse_head
from services.imap.message.section import Section, SectionSpec, rfc822_size, section, whole
from services.imap.message.text import Text

__all__ = [
    "Field",
    "Message",
    "Part",
    "Section",
    "SectionSpec",
    "Text",
    "body",
    "bodystructure",
    "envelope",
    "parse",
    "parse_head",
    "read_header",
    "rfc822_size",
    "section",
    "whole",
]
