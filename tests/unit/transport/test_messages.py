"""Messages are put, delivered in order, acknowledged, requeued, counted and purged."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from tests.unit.transport.conftest import Connect
from tests.unit.transport.inbox import Inbox

Rows = Callable[..., list[Any]]


def send(connection: Connection, *bodies: Any, queue: str = "q", **options: Any) -> None:
    """Publishes bodies to a queue."""
    for body in bodies:
        connection.Producer().publish(body, routing_key=queue, **options)


def test_messages_come_by_priority_then_by_age(connect: Connect) -> None:
    """The highest priority comes first, and equals in the order they were sent."""
    connection = connect()
    for number, priority in enumerate([0, 9, 5, 9, 0]):
        send(connection, number, priority=priority)
    with Inbox(connection, "q") as inbox:
        assert [1, 3, 2, 0, 4] == inbox.drain(5)


def test_acknowledged_message_leaves_no_row(connect: Connect, rows: Rows) -> None:
    """An acknowledged message is deleted."""
    connection = connect()
    send(connection, "a", "b")
    with Inbox(connection, "q") as inbox:
        inbox.drain(2)
        assert [(0,)] == rows("SELECT count(*) FROM aiki_broker_messages")


def test_requeued_message_comes_again_at_once_and_first(connect: Connect) -> None:
    """A message rejected with requeue keeps its place and is marked redelivered."""
    connection = connect()
    send(connection, "a", "b")
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)
        inbox.messages[0].requeue()
        inbox.drain(2)
        assert ["a", "a"] == inbox.bodies
        assert [False, True] == [m.delivery_info["redelivered"] for m in inbox.messages]


def test_rejected_message_is_dropped(connect: Connect, rows: Rows) -> None:
    """A message rejected without requeue is deleted."""
    connection = connect()
    send(connection, "a")
    with Inbox(connection, "q", ack=False) as inbox:
        inbox.drain(1)
        inbox.messages[0].reject()
        assert [(0,)] == rows("SELECT count(*) FROM aiki_broker_messages")


def test_prefetch_limit_leaves_the_rest_to_others(connect: Connect) -> None:
    """A consumer holds no more than its prefetch count; another one gets the next."""
    one, other = connect(), connect()
    send(one, 1, 2, 3)
    with Inbox(one, "q", ack=False, prefetch=2) as first, Inbox(other, "q", ack=False, prefetch=2) as second:
        first.drain(2)
        assert first.nothing_comes()
        assert [3] == second.drain(1)
        first.messages[0].ack()
        send(one, 4)
        assert [1, 2, 4] == first.drain(3)


def test_closed_channel_gives_its_messages_back(connect: Connect) -> None:
    """What a channel holds when it closes is available at once to others."""
    one, other = connect(), connect()
    send(one, 1, 2)
    with Inbox(one, "q", ack=False, prefetch=2) as inbox:
        inbox.drain(2)
    with Inbox(other, "q") as inbox:
        assert [1, 2] == inbox.drain(2, timeout=1)


def test_failing_callback_keeps_the_rest_of_its_batch(connect: Connect) -> None:
    """When a consumer raises, the messages taken along with that one are not stuck."""
    connection = connect()
    send(connection, 1, 2, 3)
    with Inbox(connection, "q", ack=False, prefetch=3) as inbox:

        def fail(body: Any, message: Any) -> None:
            raise RuntimeError("callback")

        inbox.consumer.callbacks.insert(0, fail)
        with pytest.raises(RuntimeError):
            connection.drain_events(timeout=1)
        inbox.consumer.callbacks.remove(fail)
        assert [2, 3] == inbox.drain(2)


def test_passive_declare_counts_ready_messages(connect: Connect) -> None:
    """`queue_declare(passive=True)` counts what could be delivered, not what is held."""
    connection = connect()
    send(connection, 1, 2, 3)
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)
        assert 2 == connection.default_channel.queue_declare("q", passive=True).message_count


def test_passive_declare_of_an_unknown_queue_raises_not_found(connect: Connect) -> None:
    """An unknown queue is the ChannelError 404 that kombu's users know."""
    with pytest.raises(ChannelError, match="NOT_FOUND") as caught:
        connect().default_channel.queue_declare("nowhere", passive=True)
    assert "404" == caught.value.args[0]


def test_purge_deletes_what_is_ready_and_says_how_much(connect: Connect) -> None:
    """Purging spares the messages somebody holds."""
    connection = connect()
    send(connection, 1, 2, 3)
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)
        assert 2 == connection.default_channel.queue_purge("q")
        inbox.messages[0].requeue()
        assert [1, 1] == inbox.drain(2)


def test_deleted_queue_is_unknown_again(connect: Connect) -> None:
    """Deleting a queue deletes its messages."""
    connection = connect()
    send(connection, 1)
    connection.default_channel.queue_delete("q")
    with pytest.raises(ChannelError, match="NOT_FOUND"):
        connection.default_channel.queue_declare("q", passive=True)


def test_get_returns_one_message_or_none(connect: Connect) -> None:
    """`basic_get` takes one message; without acknowledgement it is gone."""
    connection = connect()
    send(connection, "a")
    channel = connection.default_channel
    assert "a" == channel.basic_get("q", no_ack=True).payload
    assert None is channel.basic_get("q", no_ack=True)


def test_message_is_not_delivered_before_its_time(connect: Connect, rows: Rows) -> None:
    """`available_at` in the future hides a message, and its consumer wakes when the time has come."""
    connection = connect()
    send(connection, "later")
    rows("UPDATE aiki_broker_messages SET available_at = available_at + 300000")
    with Inbox(connection, "q") as inbox:
        assert inbox.nothing_comes(0.05)
        assert ["later"] == inbox.drain(1, timeout=2)


@pytest.mark.parametrize("bad", ["{half a", "[]", '{"properties": {}}', "null", b"\xff\xfe"])
def test_unreadable_row_is_deleted_and_the_next_one_comes(
    connect: Connect, rows: Rows, bad: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that is no message is logged and deleted; it does not hold up the others."""
    connection = connect()
    send(connection, "good")
    rows("INSERT INTO aiki_broker_messages (queue, priority, body) VALUES ('q', 9, CAST(? AS TEXT))", bad)
    with Inbox(connection, "q", prefetch=4) as inbox:
        assert ["good"] == inbox.drain(1)
    assert "cannot be read" in caplog.text
    assert [(0,)] == rows("SELECT count(*) FROM aiki_broker_messages")


def test_refused_acknowledgement_is_tried_again(connect: Connect, rows: Rows) -> None:
    """An acknowledgement the database refused is not forgotten while the lease is renewed."""
    connection = connect()
    send(connection, "a")
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)
        refuse = (
            "CREATE TRIGGER refuse BEFORE DELETE ON aiki_broker_messages BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        rows(refuse)
        with pytest.raises(sqlite3.Error):
            inbox.messages[0].ack()
        rows("DROP TRIGGER refuse")
        assert inbox.nothing_comes()
    assert [(0,)] == rows("SELECT count(*) FROM aiki_broker_messages")
