"""Every recorded case of the project's own copy: what was equal stays equal, what differs on purpose has a reason."""

from __future__ import annotations

import pytest

from tests.oracle.runner import KINDS, OWN_CASES, baseline, divergences, run_kind

# The search cases ask about a mailbox of all recorded messages, of which the project may keep only some.
OWN_KINDS = tuple(kind for kind in KINDS if kind != "imap_search")


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_cases_that_were_equal_are_equal(kind: str) -> None:
    result = run_kind(kind, OWN_CASES)
    assert result is not None, f"no cases of kind {kind}"
    lost = sorted(baseline(kind) & result.differs.keys())
    assert not lost, f"{kind}: {len(lost)} cases were equal and differ now: {lost[:10]}"
    assert baseline(kind), f"no baseline for {kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_name_cases_that_differ(kind: str) -> None:
    stale = sorted(divergences(kind).keys() & baseline(kind))
    assert not stale, f"{kind}: listed as different on purpose, but equal: {stale}"
