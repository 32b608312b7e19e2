"""What README.md and docs/ say to type, typed after `docker compose up`, prints the same as without containers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from supervise.settings import PORTS
from tests.support.deployment import Deployment, deployed
from tests.support.documents import blocks, documents, follow, steps, type_in

ADDRESS = "127.0.55.1"


@pytest.fixture
def fresh(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that nobody has used, on another address than a person's own."""
    directory = tmp_path_factory.mktemp("documents")
    with deployed(
        directory, project="test-documents", me="mail.xeris.com", address=ADDRESS, subnet="172.29.65"
    ) as deployment:
        yield deployment


def test_the_commands_print_what_the_documents_say(fresh: Deployment) -> None:
    left_out = {"QMAIL_DIR", *PORTS}
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    environ |= {"COMPOSE_PROJECT_NAME": fresh.project, "ADDRESS": ADDRESS, "SUBNET": fresh.subnet}
    for step in steps([block for path in documents() for block in blocks(path)]):
        follow(step, lambda text: type_in(text.replace("127.0.0.1:", f"{ADDRESS}:"), environ))
