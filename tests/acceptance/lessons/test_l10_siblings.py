"""L10: a step that is tried again neither ends a slow sibling nor drops what a quick one has finished."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.conftest import Lab
from tests.acceptance.lessons.conftest import APP
from tests.acceptance.lessons.siblings import siblings


@pytest.mark.parametrize("works_at", [3, 9], ids=["works in the end", "gives up"])
def test_siblings_of_a_retrying_step_are_left_alone(
    works_at: int, embedded_lab: Lab, at_rest: Callable[..., object]
) -> None:
    """Three attempts while the slow one is under way: it is run once, to its end, and the workflow goes on once."""
    embedded_lab.start_worker(APP, concurrency=2)
    handle = siblings.enqueue(works_at)

    assert [1, 3 if works_at == 3 else -3, 2] == handle.get(timeout=30)

    effects = embedded_lab.effects
    began, ended = effects.all("beside", number=2)[0], effects.all("beside ended", number=2)[0]
    tried = [attempt["at"] for attempt in effects.all("unsteady")]
    assert (3, 1, 1, began["pid"]) == (
        len(tried),
        effects.count("beside", number=1),
        effects.count("beside", number=2),
        ended["pid"],
    )
    # The fault: attempts failed, and the step waited, while the sibling was under way.
    assert began["at"] < tried[1] < ended["at"]
    assert 2 == effects.count("pass", run=handle.id)
    at_rest(embedded_lab)
