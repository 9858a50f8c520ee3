"""``python -m benchmarks``: measure, and print the table."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import peers, plain_side, raw, report, services
from benchmarks.aiki_side import AikiSide
from benchmarks.figures import Figure, Results

STEPS = 1_000
FAN_OUT = 200
SLEEPERS = 100_000
SECTIONS = (
    *("raw", "inline", "replay", "worker", "throughput", "transactional", "fan-out", "events"),
    *("sleepers", "memory", "dbos", "absurd"),
)

Section = Callable[[], Iterator[Figure]]


def sections(stack: ExitStack, *, quick: bool) -> Iterator[tuple[str, str, Section]]:
    """Every measurement as (section, what it is called in messages, how to take it)."""
    rounds, peer_rounds, workflows = (3, 1, 300) if quick else (7, 3, 1_000)
    server = stack.enter_context(services.postgres())
    broker = stack.enter_context(services.redis())
    places = {
        "postgres": (stack.enter_context(services.database(server, "aiki_bench")), broker),
        "sqlite": (stack.enter_context(services.sqlite_file("aiki")), None),
    }
    for place, (url, place_broker) in places.items():
        side = AikiSide(place, url, place_broker, rounds)
        yield "raw", f"raw on {place}", partial(raw.measure, url, place, STEPS, rounds)
        yield "inline", f"inline on {place}", partial(side.inline, STEPS)
        yield "replay", f"replay on {place}", partial(side.replay, STEPS)
        if not quick:
            yield "replay", f"long replay on {place}", partial(side.replay, 10 * STEPS)
        yield "worker", f"worker on {place}", partial(side.worker, STEPS)
        yield "fan-out", f"fan-out on {place}", partial(side.fan_out, FAN_OUT, rounds)
        if not quick:
            yield "fan-out", f"wide fan-out on {place}", partial(side.fan_out, 50 * FAN_OUT, 1)
        yield "throughput", f"throughput on {place}", partial(side.throughput, workflows)
        yield "transactional", f"transactions on {place}", partial(side.transactional, STEPS)
        yield "events", f"events on {place}", partial(side.events, 100 if quick else 1_000, 1)
        # Last, as it leaves many rows behind.
        yield "sleepers", f"sleepers on {place}", partial(side.sleepers, SLEEPERS, 1)
    yield "fan-out", "Celery's chord", partial(plain_side.chord, broker, FAN_OUT, rounds)
    memory_of = stack.enter_context(services.database(server, "aiki_memory"))
    yield "memory", "memory", partial(plain_side.memory, broker, memory_of)
    for peer in (peers.DBOS, peers.ABSURD):
        url = stack.enter_context(services.database(server, f"{peer.name}_bench"))
        take = partial(peers.measure, peer, url, STEPS, workflows // 2, FAN_OUT, peer_rounds)
        yield peer.name, peer.name, take


def measure(only: list[str], *, quick: bool) -> Results:
    """Take the chosen measurements; one that fails is noted and the rest goes on."""
    results = Results()
    with ExitStack() as stack:
        for section, name, take in sections(stack, quick=quick):
            if section not in only:
                continue
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            try:
                for figure in take():
                    results.add(figure)
            except Exception as error:
                results.skipped[name] = f"{type(error).__name__}: {error}"
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, nothing longer than a few seconds"
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    options = parser.parse_args()
    results = measure(options.only, quick=options.quick)
    print("\n".join(report.lines(results)))
    if options.json:
        report.write_json(results, options.json)


if __name__ == "__main__":
    main()
