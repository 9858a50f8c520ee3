"""Plain Celery and ``durable(...)`` agree about every canvas."""

from __future__ import annotations

import pytest

from tests.acceptance.canvas import (
    cases_chain,
    cases_chord,
    cases_errbacks,
    cases_errors,
    cases_links,
    cases_replace,
)
from tests.acceptance.canvas.both_ways import Case, start_durable, start_plain
from tests.acceptance.canvas.conftest import Sides

PARTS = (cases_chain, cases_chord, cases_links, cases_errors, cases_errbacks, cases_replace)
CASES = {name: case for part in PARTS for name, case in part.CASES.items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_canvas_agrees(case: Case, current: Sides, request: pytest.FixtureRequest) -> None:
    """Its result or error, and what its tasks, links and error callbacks did."""
    name = request.node.callspec.id
    plain = start_plain(case, f"{name} plain", current.effects)
    durable = start_durable(case, f"{name} durable", current.effects)
    assert plain() == durable()
