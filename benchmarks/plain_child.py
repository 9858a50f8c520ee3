"""Celery's own chord of COUNT tasks, timed ROUNDS times: ``python -m benchmarks.plain_child COUNT ROUNDS``."""

import json
import sys
import time

from benchmarks import plain_app

count, rounds = int(sys.argv[1]), int(sys.argv[2])
plain_app.fan_out(10)
for _ in range(rounds):
    started = time.perf_counter()
    assert plain_app.fan_out(count) == count * (count + 1) // 2
    print(json.dumps({"value": (time.perf_counter() - started) * 1000}), flush=True)
