"""Several workers sweep at once, and each run is given to one of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from aiki_celery.journal.journal import Journal
from aiki_celery.model.records import Envelope
from tests.contract.rows import age, set_run
from tests.contract.stories import ALICE, DEFINITION, claimed, queued

SWEEPERS = 5
RUNS = 40
BATCH = 5

Sweep = Callable[[Journal], list[Envelope]]


def sleepers(journal: Journal) -> set[str]:
    """Runs that are due."""
    runs = {queued(journal, delay=60.0) for _ in range(RUNS)}
    for run_id in runs:
        age(journal, run_id, 120)
    return runs


def missing(journal: Journal) -> set[str]:
    """Queued runs whose messages are overdue."""
    runs = {queued(journal) for _ in range(RUNS)}
    for run_id in runs:
        age(journal, run_id, 120)
    return runs


def never_sent(journal: Journal) -> set[str]:
    """Queued runs whose messages were never accepted."""
    runs = missing(journal)
    for run_id in runs:
        set_run(journal, run_id, published_at=None)
    return runs


def orphans(journal: Journal) -> set[str]:
    """Runs of a worker that is dead."""
    return {claimed(journal).run_id for _ in range(RUNS)}


SWEEPS: dict[str, tuple[Callable[[Journal], set[str]], Sweep]] = {
    "due": (sleepers, lambda journal: journal.timers.queue_due([DEFINITION], BATCH)),
    "overdue": (missing, lambda journal: journal.deliveries.take_overdue([DEFINITION], None, BATCH)),
    "unpublished": (never_sent, lambda journal: journal.deliveries.take_unpublished([DEFINITION], BATCH)),
    "dead workers": (orphans, lambda journal: journal.recovery.free_dead_workers(15, BATCH)[0]),
    "dead process": (
        orphans,
        lambda journal: journal.recovery.free_process(ALICE.worker_id, ALICE.pid)[0],
    ),
}


@pytest.mark.parametrize(("prepare", "sweep"), SWEEPS.values(), ids=SWEEPS)
def test_sweep_by_many_at_once_gives_each_run_once(
    journal: Journal, prepare: Callable[[Journal], set[str]], sweep: Sweep
) -> None:
    """No run is missed and none is handled twice, with five sweepers in step."""
    runs = prepare(journal)
    together = threading.Barrier(SWEEPERS)

    def sweeper(_: int) -> list[str]:
        together.wait(30)
        found: list[str] = []
        # Rows that others have locked are skipped, so an empty batch may not be the last one.
        for _ in range(3 * RUNS // BATCH):
            found += [envelope.run_id for envelope in sweep(journal)]
        return found

    with ThreadPoolExecutor(SWEEPERS) as pool:
        handled = Counter(run_id for found in pool.map(sweeper, range(SWEEPERS)) for run_id in found)
    assert Counter(runs) == handled
