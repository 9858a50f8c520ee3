"""How long Celery keeps a chord for the process that is to publish its body.

Celery's Redis backend lets one process at a time publish a chord's body. If that process dies in between, whoever tells
the backend of the last result again is turned away without a word until the claim has run out.
"""

from __future__ import annotations

import math
from typing import Any


def claim_seconds(conf: Any) -> float:
    """Give the longest a claim can last under an application's configuration, in seconds, with one to spare."""
    join = 2 * (conf.result_chord_join_timeout or 5.0)
    policy = conf.task_publish_retry_policy or {}
    retries = policy.get("max_retries") if conf.task_publish_retry else 0
    retries = 3 if retries is None else max(0, int(retries))
    timeout = conf.broker_connection_timeout
    if timeout is None:
        return float(2 * max(5.0, join) + 1)
    waits = retries * float(policy.get("interval_max", 1))
    return float(max(5.0, join, math.ceil((retries + 1) * timeout + waits + max(timeout, 1))) + 1)
