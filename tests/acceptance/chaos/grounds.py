"""The combinations of broker and journal that tests are run on, marked with the servers they start."""

import pytest

EMBEDDED = pytest.param("embedded+sqlite", id="embedded+sqlite")
REDIS = pytest.param("redis+postgres", id="redis+postgres", marks=[pytest.mark.redis, pytest.mark.postgres])
RABBITMQ = pytest.param(
    "rabbitmq+postgres", id="rabbitmq+postgres", marks=[pytest.mark.rabbitmq, pytest.mark.postgres]
)

on_every_ground = pytest.mark.parametrize("ground", [EMBEDDED, REDIS, RABBITMQ])
on_redis = pytest.mark.parametrize("ground", [REDIS])
on_rabbitmq = pytest.mark.parametrize("ground", [RABBITMQ])
on_brokers = pytest.mark.parametrize("ground", [REDIS, RABBITMQ])
on_redis_and_embedded = pytest.mark.parametrize("ground", [REDIS, EMBEDDED])
