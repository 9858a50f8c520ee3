"""Exchanges, bindings and temporary queues are shared by all connections."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError

from aiki_celery.celery_binding.transport.lease import LeaseKeeper
from aiki_celery.celery_binding.transport.routing import matching_queues
from tests.unit.transport.conftest import Connect
from tests.unit.transport.inbox import Inbox

Rows = Callable[..., list[Any]]


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("#", "a.b.c", True),
        ("#", "", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.#.z", "a.z", True),
        ("a.#", "ab", False),
        ("a+b", "aab", False),
    ],
)
def test_topic_matches_as_in_amqp(pattern: str, key: str, matches: bool) -> None:
    """`*` is one word and `#` any number of them."""
    assert (["q"] if matches else []) == matching_queues("topic", [(pattern, "q")], key)


def test_fanout_reaches_the_queues_of_other_connections(connect: Connect) -> None:
    """Every queue that any connection bound to a fanout exchange gets its copy."""
    exchange = Exchange("news", type="fanout")
    one, other, sender = connect(), connect(), connect()
    with Inbox(one, Queue("one", exchange)) as first, Inbox(other, Queue("other", exchange)) as second:
        sender.Producer(exchange=exchange).publish("hello")
        assert ["hello"] == first.drain(1)
        assert ["hello"] == second.drain(1)


def test_direct_exchange_delivers_by_key(connect: Connect) -> None:
    """A message goes to the queues bound with its routing key and to no other."""
    exchange = Exchange("orders", type="direct")
    connection, sender = connect(), connect()
    with Inbox(connection, Queue("paid", exchange, "paid")) as inbox:
        sender.Producer(exchange=exchange).publish("x", routing_key="lost")
        sender.Producer(exchange=exchange).publish("y", routing_key="paid")
        assert ["y"] == inbox.drain(1)
        assert inbox.nothing_comes()


def test_exchange_of_another_type_is_refused(connect: Connect) -> None:
    """Declaring an exchange again with another type says what is in the way."""
    channel = connect().default_channel
    channel.exchange_declare("orders", "direct")
    with pytest.raises(ChannelError, match="PRECONDITION_FAILED"):
        channel.exchange_declare("orders", "fanout")


def test_exclusive_queue_goes_with_its_consumer(connect: Connect, rows: Rows) -> None:
    """The queue, its bindings and its messages are deleted when its only consumer leaves."""
    exchange = Exchange("news", type="fanout")
    connection = connect()
    with Inbox(connection, Queue("mine", exchange, exclusive=True)):
        assert [("mine",)] == rows("SELECT name FROM aiki_broker_queues")
    connection.Producer(exchange=exchange).publish("nobody hears this")
    assert [] == rows("SELECT name FROM aiki_broker_queues")
    assert [(0, 0)] == rows(
        "SELECT (SELECT count(*) FROM aiki_broker_messages), (SELECT count(*) FROM aiki_broker_bindings)"
    )


def abandon(connection: Connection, rows: Rows) -> None:
    """Leaves a fanout queue with a message behind, as a killed consumer does, two minutes old."""
    exchange = Exchange("news", type="fanout")
    Queue("dead", exchange, auto_delete=True, expires=60, channel=connection.default_channel).declare()
    connection.Producer(exchange=exchange).publish("unheard")
    rows("UPDATE aiki_broker_queues SET seen_at = seen_at - 120000000 WHERE name = 'dead'")


def test_queue_of_a_dead_consumer_expires(connect: Connect, rows: Rows) -> None:
    """A temporary queue that nobody attends is deleted with its messages and bindings."""
    connection = connect()
    abandon(connection, rows)
    LeaseKeeper(connection.transport.database).round()
    assert [] == rows("SELECT name FROM aiki_broker_queues")
    assert [] == rows("SELECT body FROM aiki_broker_messages")


def test_attended_queue_comes_back_after_it_expired(connect: Connect, rows: Rows) -> None:
    """A consumer that was stopped for long has its queue and binding made anew."""
    exchange = Exchange("news", type="fanout")
    connection, sender = connect(), connect()
    with Inbox(connection, Queue("mine", exchange, auto_delete=True, expires=0.3)) as inbox:
        rows("DELETE FROM aiki_broker_queues")
        rows("DELETE FROM aiki_broker_bindings")
        rows("DELETE FROM aiki_broker_exchanges")
        while not rows("SELECT 1 FROM aiki_broker_bindings"):
            assert inbox.nothing_comes(0.05)
        sender.Producer(exchange=exchange).publish("heard")
        assert ["heard"] == inbox.drain(1)
