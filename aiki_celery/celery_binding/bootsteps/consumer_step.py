"""The consumer's bootstep: starts anew at every connection to the broker."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from aiki_celery.celery_binding.adopted.requests import adopt_tasks
from aiki_celery.celery_binding.binding import Binding
from aiki_celery.celery_binding.redis_receipts import RedisReceipts
from aiki_celery.celery_binding.unknown_tasks import hand_on_unknown


class ConsumerStep(bootsteps.StartStopStep):
    """Looks at messages of Celery tasks that workflows have started and of tasks that are unknown here.

    Where the broker is Redis and an event loop drives the worker, it also puts our bookkeeping before the channel's.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    #: The application and its journal; set by :func:`consumer_step_for`.
    binding: Binding

    def create(self, consumer: Any) -> None:
        """Be there whenever the consumer builds how it handles the messages of each task, and of none."""
        adopt_tasks(self.binding, consumer)
        hand_on_unknown(self.binding, consumer)

    def start(self, consumer: Any) -> None:
        """Begin, before the first message is received."""
        if consumer.hub is not None and consumer.connection.transport.driver_type == "redis":
            RedisReceipts(consumer.task_consumer.channel.qos, consumer.hub.call_later)


def consumer_step_for(binding: Binding) -> type[ConsumerStep]:
    """Make the bootstep of one application."""
    return type("AikiConsumerStep", (ConsumerStep,), {"binding": binding, "name": "aiki_celery.consumer"})
