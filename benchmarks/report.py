"""The table and the ratios, beside the goals."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.figures import Figure, Results


@dataclass(frozen=True, slots=True)
class Goal:
    """``over / under`` is to be at least ``least`` (or, without ``under``, ``over`` at most ``most``).

    Attributes:
        label: what is compared.
        over: name of the figure above the line.
        place: where both were taken.
        under: name of the figure below the line, None for an absolute goal.
        minus: whether it is their difference that counts.
    """

    label: str
    over: str
    place: str
    under: str | None = None
    least: float | None = None
    most: float | None = None
    minus: bool = False

    def value(self, results: Results) -> float | None:
        over = results.median(self.over, self.place)
        if self.under is None or over is None:
            return over
        under = results.median(self.under, self.place)
        if self.minus:
            return None if under is None else over - under
        return over / under if under else None

    def is_met(self, value: float) -> bool | None:
        if self.least is not None:
            return value >= self.least
        return value <= self.most if self.most is not None else None


GOALS = (
    Goal("inline steps, Aiki : Core loop", "aiki.inline", "postgres", "raw.core.beside", least=0.9),
    Goal("inline steps, Aiki : DBOS", "aiki.inline", "postgres", "dbos.inline", least=7),
    Goal("inline steps, Aiki : absurd", "aiki.inline", "postgres", "absurd.inline", least=2),
    Goal("inline steps, worker : Core loop", "aiki.worker", "postgres", "raw.core"),
    Goal("replay of 1,000 steps, ms", "aiki.replay.1000", "postgres", most=10),
    Goal("replay of 1,000 steps, DBOS : Aiki", "dbos.replay.1000", "postgres", "aiki.replay.1000", least=200),
    Goal("replay of 1,000 steps, absurd : Aiki", "absurd.replay.1000", "postgres", "aiki.replay.1000"),
    Goal("replay, 10,000 steps : 1,000 steps", "aiki.replay.10000", "postgres", "aiki.replay.1000"),
    Goal("fan-out of 200, Aiki : chord", "aiki.fan-out.200", "postgres", "celery.chord.200", most=1.5),
    Goal("fan-out of 200, DBOS : Aiki", "dbos.fan-out.200", "postgres", "aiki.fan-out.200", least=3),
    Goal("fan-out, 10,000 : 200 steps", "aiki.fan-out.10000", "postgres", "aiki.fan-out.200"),
    Goal(
        "memory of a worker, Aiki - Celery, MB",
        "aiki.memory",
        "postgres",
        "celery.memory",
        most=30,
        minus=True,
    ),
    Goal("idle worker, 100,000 asleep, statements/s", "aiki.idle", "postgres", most=3),
    Goal("idle worker, 100,000 asleep, statements/s", "aiki.idle", "sqlite", most=3),
    Goal("workflows, Aiki : DBOS", "aiki.throughput", "postgres", "dbos.throughput", least=3),
    Goal("workflows, Aiki : DBOS, 2 processes", "aiki.throughput", "postgres", "dbos.throughput.2"),
    Goal("workflows, Aiki : absurd", "aiki.throughput", "postgres", "absurd.throughput"),
    Goal("workflows, Aiki : absurd, 2 processes", "aiki.throughput", "postgres", "absurd.throughput.2"),
    Goal("transactional starts : plain rows", "aiki.tx.starts", "postgres", "raw.tx.starts"),
    Goal("the same, a hundred at once", "aiki.tx.batch", "postgres", "raw.tx.batch"),
    Goal("transactional steps : plain rows", "aiki.tx.steps", "postgres", "raw.tx.steps"),
    Goal("transactional starts : plain rows", "aiki.tx.starts", "sqlite", "raw.tx.starts"),
    Goal("the same, a hundred at once", "aiki.tx.batch", "sqlite", "raw.tx.batch"),
    Goal("transactional steps : plain rows", "aiki.tx.steps", "sqlite", "raw.tx.steps"),
    Goal("inline steps, Aiki : Core loop", "aiki.inline", "sqlite", "raw.core.beside", least=0.9),
    Goal("inline steps, worker : Core loop", "aiki.worker", "sqlite", "raw.core"),
    Goal("replay of 1,000 steps, ms", "aiki.replay.1000", "sqlite", most=10),
    Goal("replay, 10,000 steps : 1,000 steps", "aiki.replay.10000", "sqlite", "aiki.replay.1000"),
)


def figure_line(figure: Figure) -> str:
    spread = f"{min(figure.rounds):,.0f} - {max(figure.rounds):,.0f}"
    value = f"{figure.median:,.1f}" if figure.median < 100 else f"{figure.median:,.0f}"
    return f"{figure.name:<24}{figure.place:<10}{value:>10} {figure.unit:<14}{spread:<18}{figure.note}"


def lines(results: Results) -> Iterator[str]:
    """The whole report, line by line."""
    yield f"{'figure':<24}{'on':<10}{'median':>10} {'unit':<14}{'lowest - highest':<18}"
    yield from map(figure_line, results.figures)
    yield ""
    yield f"{'ratio':<46}{'on':<10}{'value':>10}  {'goal':<10}"
    for goal in GOALS:
        value = goal.value(results)
        if value is not None:
            yield goal_line(goal, value)
    for section, reason in results.skipped.items():
        yield f"not measured: {section}: {reason}"


def goal_line(goal: Goal, value: float) -> str:
    wanted = f">= {goal.least:g}" if goal.least is not None else f"<= {goal.most:g}" if goal.most else ""
    verdict = {True: "met", False: "MISSED", None: ""}[goal.is_met(value)]
    return f"{goal.label:<46}{goal.place:<10}{value:>10,.2f}  {wanted:<10}{verdict}"


def write_json(results: Results, path: Path) -> None:
    """Everything, for a machine: the figures with every round, the ratios and their goals."""
    ratios = [
        {**asdict(goal), "value": value, "met": goal.is_met(value)}
        for goal in GOALS
        if (value := goal.value(results)) is not None
    ]
    document = {
        "figures": [{**asdict(figure), "median": figure.median} for figure in results.figures],
        "ratios": ratios,
        "skipped": results.skipped,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
