"""The consumer's bootstep: starts anew at every connection to the broker."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from aiki_celery.celery_binding.redis_receipts import RedisReceipts


class ConsumerStep(bootsteps.StartStopStep):
    """Puts our bookkeeping before the channel's, where the broker is Redis and an event loop drives the worker."""

    name = "aiki_celery.consumer"
    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin, before the first message is received."""
        if consumer.hub is not None and consumer.connection.transport.driver_type == "redis":
            RedisReceipts(consumer.task_consumer.channel.qos, consumer.hub.call_later)
