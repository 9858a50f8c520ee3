"""Run Celery's own integration tests plain and with Aiki on their apps, and compare test by test.

    python -m tests.compat.run_celery_suite [--only plain|aiki] [--broker rabbitmq] [-- -k EXPR]

Exit status 1: a test that passes plain does not pass with Aiki.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.compat.suite_part import Part, Rows, parts_of
from tests.compat.suite_source import make_environment, unpack_suite
from tests.harness.rabbitmq import RabbitMQServer

PASSED = {"passed", "xpassed"}

Outcomes = dict[str, str]


def run_suite(side: str, options: argparse.Namespace, home: Path, suite: Path) -> Outcomes:
    """Run the whole suite once, several parts side by side, and say how it went."""
    started = time.monotonic()
    with brokers(options.broker) as new_broker, ThreadPoolExecutor(options.jobs) as pool:

        def run(part: Part) -> Rows:
            return part.run(side, home, suite, new_broker(), options.arguments)

        parts = list(pool.map(run, parts_of(suite)))
    rows = [row for part in parts for row in part]
    outcomes = {row["test"]: row["outcome"] for row in rows}
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items()))
    again = sum(1 for row in rows if row["reruns"])
    took = time.monotonic() - started
    apps = sum(part[-1]["apps_with_aiki"] for part in parts if part)
    print(f"{side}: {len(outcomes)} tests in {took:.0f} s: {counts}; {again} were tried again", flush=True)
    print(f"{'':<{len(side)}}  Aiki was on {apps} apps", flush=True)
    return outcomes


@contextlib.contextmanager
def brokers(kind: str) -> Iterator[Callable[[], str | None]]:
    """Gives the URL of a broker that nobody has used; None is the Redis that every part has anyway."""
    if kind == "redis":
        yield lambda: None
        return
    server = RabbitMQServer()
    try:
        server.start()
        yield server.new_vhost
    finally:
        server.remove()


def verdict(outcomes: list[str | None]) -> str:
    """What became of a test over the repetitions; ``unsteady`` when that was not always the same."""
    kinds = {("passed" if outcome in PASSED else outcome) or "not run" for outcome in outcomes}
    return kinds.pop() if len(kinds) == 1 else "unsteady"


def compare(plain: list[Outcomes], aiki: list[Outcomes]) -> bool:
    """Print where the sides agree and differ; whether nothing that passes plain is worse with Aiki."""
    tests = sorted({test for outcomes in (*plain, *aiki) for test in outcomes})
    pairs = {
        test: (verdict([run.get(test) for run in plain]), verdict([run.get(test) for run in aiki]))
        for test in tests
    }
    differ = {test: pair for test, pair in pairs.items() if pair[0] != pair[1]}
    print(f"\n{'plain':<10}{'with Aiki':<10}{'tests':>6}")
    for pair, count in sorted(Counter(pairs.values()).items()):
        print(f"{pair[0]:<10}{pair[1]:<10}{count:>6}  {'agree' if pair[0] == pair[1] else 'DIFFER'}")
    print(f"\nagree {len(tests) - len(differ)}, differ {len(differ)}, of {len(tests)}")
    for test, pair in differ.items():
        print(f"  {pair[0]:<10}{pair[1]:<10}{test}")
    return not any(pair[0] == "passed" for pair in differ.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compat.run_celery_suite")
    parser.add_argument("--only", choices=("plain", "aiki"), help="run one side")
    parser.add_argument("--repeat", type=int, default=1, help="run each side so many times")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--jobs", type=int, default=4, help="pytest processes side by side; they mostly wait")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="after --: for pytest, such as -k EXPR")
    options = parser.parse_args()
    options.arguments = [argument for argument in options.arguments if argument != "--"]
    suite, home = unpack_suite(), make_environment()
    runs: dict[str, list[Outcomes]] = {"plain": [], "aiki": []}
    for number in range(1, options.repeat + 1):
        for side in ("plain", "aiki") if options.only is None else (options.only,):
            runs[side].append(run_suite(f"{side}{number}", options, home, suite))
    if options.only:
        return 0
    return 0 if compare(runs["plain"], runs["aiki"]) else 1


if __name__ == "__main__":
    sys.exit(main())
