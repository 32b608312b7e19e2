"""An address is cut in one place (docs/decisions/0018)."""

from __future__ import annotations

import ast

from tests.support.source import ROOT, nodes_of

CUTS = {"partition", "rpartition", "split", "rsplit", "find", "rfind", "index", "rindex"}
# Grammars of their own: RFC 5322's address lists; tcprules' `info@ip`.
OTHERS = {"services/imap/message/address.py", "qmail/control/rules.py"}


def cuts_at_sign(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTS):
        return False
    first = node.args[0] if node.args else None
    return isinstance(first, ast.Constant) and first.value in ("@", b"@")


def test_nobody_else_cuts_at_an_at_sign() -> None:
    found = {
        str(path.relative_to(ROOT))
        for top in ("qmail", "services")
        for path in (ROOT / top).rglob("*.py")
        if any(map(cuts_at_sign, nodes_of(path)))
    }
    assert found - OTHERS == {"qmail/message/address.py"}
