"""Celery without Aiki: what a fan-out is measured beside."""

import os

from celery import Celery, chord

app = Celery("plain", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BROKER"])


@app.task(name="plain-increment")
def increment(value: int) -> int:
    return value + 1


@app.task(name="plain-total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


def fan_out(count: int) -> int:
    result: int = (
        chord([increment.s(number) for number in range(count)], total.s()).apply_async().get(timeout=300)
    )
    return result
