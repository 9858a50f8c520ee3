"""What a worker tells Redis of the messages it has received: nothing of those that are acknowledged at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Queue

from aiki_celery.celery_binding import redis_receipts
from aiki_celery.celery_binding.message import header
from aiki_celery.celery_binding.redis_receipts import RedisReceipts

OURS, OTHER = header("journal"), header("message")


class Reader:
    """A consumer with our bookkeeping before its channel's.

    Args:
        url: The Redis database.
    """

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self.connection = Connection(url)
        self.channel = self.connection.channel()
        self.queue = Queue("receipts", channel=self.channel)
        self.timers: list[Callable[[], None]] = []
        self.messages: list[Any] = []
        RedisReceipts(self.channel.qos, self._set_timer)

    def send(self, *headers: dict[str, Any]) -> None:
        """Puts a message into the queue for each of these headers."""
        with self.connection.Producer() as producer:
            for each in headers:
                producer.publish({}, routing_key="receipts", headers=each, declare=[self.queue])

    def receive(self, count: int) -> list[Any]:
        """Gives so many messages, not acknowledged."""
        with Consumer(self.channel, [self.queue], on_message=self.messages.append):
            while len(self.messages) < count:
                self.connection.drain_events(timeout=5)
        return self.messages

    def _set_timer(self, _seconds: float, call: Callable[[], None]) -> None:
        self.timers.append(call)

    def end_of_grace(self) -> None:
        """Does what the event loop does when the time is over."""
        calls, self.timers = self.timers, []
        for call in calls:
            call()

    @property
    def entered(self) -> int:
        """How many messages Redis has as unacknowledged."""
        return self.client.hlen("unacked") + self.client.zcard("unacked_index")

    @property
    def queued(self) -> int:
        """How many messages wait in the queue."""
        return self.client.llen("receipts")


@pytest.fixture
def reader(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """On an empty Redis; time is over when the test says so."""
    monkeypatch.setattr(redis_receipts, "GRACE", 0.0)
    reader = Reader(redis_url)
    yield reader
    reader.connection.close()


def test_message_acknowledged_at_once_is_never_entered(reader: Reader) -> None:
    """Redis hears nothing, and the prefetch limit counts it while it is held."""
    reader.send(OURS)
    reader.channel.basic_qos(0, 1, False)
    (message,) = reader.receive(1)
    held = (reader.entered, reader.channel.qos.can_consume())
    message.ack()
    reader.end_of_grace()
    assert ((0, False), 0, True) == (held, reader.entered, reader.channel.qos.can_consume())


def test_message_that_waits_is_entered_until_it_is_acknowledged(reader: Reader) -> None:
    """It is kombu's matter then, as any other message."""
    reader.send(OURS)
    (message,) = reader.receive(1)
    reader.end_of_grace()
    entered = reader.entered
    message.ack()
    assert (2, 0) == (entered, reader.entered)


@pytest.mark.parametrize("headers", [OTHER, {}])
def test_message_that_is_all_there_is_of_a_start_is_entered_at_once(
    reader: Reader, headers: dict[str, Any]
) -> None:
    """A start by ``delay``, and messages of other tasks, are left as they are."""
    reader.send(headers)
    (message,) = reader.receive(1)
    entered = reader.entered
    message.ack()
    assert (2, 0) == (entered, reader.entered)


def test_message_put_back_is_in_the_queue_again(reader: Reader) -> None:
    """As when the process that was to work on it has died."""
    reader.send(OURS)
    (message,) = reader.receive(1)
    message.requeue()
    assert (0, 1) == (reader.entered, reader.queued)


def test_messages_held_when_the_channel_is_closed_are_in_the_queue_again(reader: Reader) -> None:
    """A worker that is stopped gives back what it has not begun, however lately it came; not what it acknowledged."""
    reader.send(OURS, OTHER, OURS, OURS)
    done, *_ = reader.receive(4)
    done.ack()
    reader.channel.close()
    assert (0, 3) == (reader.entered, reader.queued)


def test_grace_is_measured_for_each_message(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came lately is not entered with those that came before it; it has a time of its own."""
    reader.send(OURS)
    reader.receive(1)
    monkeypatch.setattr(redis_receipts, "GRACE", 3600.0)
    reader.end_of_grace()
    assert (0, 1) == (reader.entered, len(reader.timers))
