"""The workers' rows."""

from __future__ import annotations

from aiki_celery.journal.journal import Journal
from tests.contract.rows import silence
from tests.contract.stories import in_pass, queued, step


def test_beat_keeps_one_row_alive(journal: Journal) -> None:
    """The first beat makes the row, each later one only says that the worker lives."""
    journal.workers.beat("w1", "host", 7, '{"pool":"solo"}')
    silence(journal, "w1", 100)
    silent = journal.workers.all()[0].silent_for
    journal.workers.beat("w1", "host", 7, None)
    (worker,) = journal.workers.all()
    assert ("w1", "host", 7, '{"pool":"solo"}') == (worker.id, worker.hostname, worker.pid, worker.info)
    assert (True, True) == (silent >= 100, worker.silent_for < 60)


def test_remove_dead_sweeps_the_silent_only(journal: Journal) -> None:
    """A row goes when its worker has been silent for that long."""
    for name in ("dead", "alive"):
        journal.workers.beat(name, "host", 1, None)
    silence(journal, "dead", 100)
    assert (1, ["alive"]) == (journal.workers.remove_dead(90), [w.id for w in journal.workers.all()])


def test_beat_after_the_row_was_swept_makes_it_again(journal: Journal) -> None:
    """A worker that was taken for dead and is not comes back."""
    journal.workers.beat("w1", "host", 1, None)
    journal.workers.remove("w1")
    journal.workers.beat("w1", "host", 1, None)
    assert ["w1"] == [worker.id for worker in journal.workers.all()]


def test_beat_gets_through_however_many_passes_there_are(journal: Journal) -> None:
    """Each keeps its connection, and a worker may have a hundred threads: it must not be taken for dead for that."""
    passes = [in_pass(journal)[1] for _ in range(70)]
    for held in passes:
        held.append(step())
    journal.workers.beat("w1", "host", 1, None)
    assert queued(journal)
    assert ["w1"] == [worker.id for worker in journal.workers.all()]
    for held in passes:
        held.close()
