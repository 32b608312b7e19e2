"""A deployment's files, with hashes that cost nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.auth.modules import module as auth_module
from tests.support.clerk import CHEAP


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full costs, a hundred times over, would be the tests' only work; where costs are the point, they are full."""
    monkeypatch.setattr(auth_module, "_NOBODYS", CHEAP.hash(b"nobody's"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("control", "users", "auth"):
        (tmp_path / folder).mkdir()
    (tmp_path / "control/me").write_text("mail.xeris.com\n")
    (tmp_path / "control/locals").write_text("mail.xeris.com\nXeris.com\n")
    (tmp_path / "users/assign").write_text("=ari:ari:2001:2001:/home/ari:::\n=joni:joni:2002:2002:/home/joni:::\n.\n")
    (tmp_path / "auth/passwd").write_text(f"ari:{CHEAP.hash(b'aripass')}\njoni:!\n")
    return tmp_path
