"""Several async steps on one loop, and what happens to the others when one hangs or its process dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.async_tasks.conftest import APP
from tests.acceptance.async_tasks.definitions import neighbours, side_by_side, surviving
from tests.acceptance.conftest import Lab


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_several_steps_are_awaited_at_once(embedded_lab: Lab, pool: str) -> None:
    """In one process, on one loop; and one that hangs takes no attempt from its neighbour, which begins anew.

    The worker ends when it is told to, whatever still hangs in it.
    """
    worker = embedded_lab.start_worker(APP, pool=pool, concurrency=10)

    assert list(range(8)) == side_by_side.enqueue(8, 0.7).get(timeout=30)

    moments = sorted(
        [(e["at"], 1) for e in embedded_lab.effects.all("slow began")]
        + [(e["at"], -1) for e in embedded_lab.effects.all("slow")]
    )
    assert 8 == max(sum(change for _, change in moments[: n + 1]) for n in range(len(moments)))
    assert 1 == len({e["pid"] for e in embedded_lab.effects.all("slow")})

    handle = neighbours.enqueue()
    blocked, neighbour = handle.get(timeout=40)

    assert "1" == neighbour
    assert "failed after 1 attempt: StepTimeout" in blocked
    told = [e for e in embedded_lab.effects.all() if e["key"].startswith(handle.id)]
    began = [e["attempt"] for e in told if e["name"] == "slow began"]
    assert ([1] * len(began), 1) == (began, sum(e["name"] == "slow" for e in told))
    assert len(began) >= 2
    worker.terminate()
    assert 0 == worker.wait(15)


def test_a_step_whose_process_is_killed_is_run_again(lab: Lab, tmp_path: Path) -> None:
    """On PostgreSQL and Redis, in the pool that has processes; what it has reported is kept."""
    lab.start_worker(APP)

    assert "survived" == surviving.enqueue(str(tmp_path / "flag")).get(timeout=30)

    assert [None, {"half": "done"}] == [e["details"] for e in lab.effects.all("deadly")]
