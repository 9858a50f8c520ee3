"""A forked child has the broker to itself: no handle, lock or lease of its parent's."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from tests.unit.transport.conftest import Connect
from tests.unit.transport.inbox import Inbox
from tests.unit.transport.test_messages import send

Rows = Callable[..., list[Any]]


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked child and returns its exit code; a child that hangs is ended after 5 s."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(5)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_forked_child_publishes_and_leaves_its_parents_leases(connect: Connect, rows: Rows) -> None:
    """A child uses no inherited handle, and closing what it inherited gives nothing of the parent's back."""
    connection = connect()
    send(connection, "a")
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)

        def publish_and_close() -> None:
            send(connection, "from the child", queue="other")
            connection.release()

        assert 0 == in_child(publish_and_close)
        assert [("other",)] == rows("SELECT queue FROM aiki_broker_messages WHERE lease_owner IS NULL")
        send(connection, "and so can the parent", queue="other")
        assert 2 == connection.default_channel.queue_declare("other", passive=True).message_count


def test_fork_waits_for_the_transaction_of_another_thread(connect: Connect) -> None:
    """A child forked while another thread writes inherits neither its lock nor half of its transaction."""
    connection = connect()
    send(connection, "a")
    database = connection.transport.database
    writing = threading.Event()

    def write() -> None:
        with database.writing() as sqlite:
            sqlite.execute("DELETE FROM aiki_broker_messages")
            writing.set()
            # Held until the fork is under way, or as long as it takes to see that it does not wait.
            threading.Event().wait(0.3)

    thread = threading.Thread(target=write)
    thread.start()
    assert writing.wait(5)
    assert 0 == in_child(lambda: send(connection, "from the child", queue="other"))
    thread.join(5)
    assert 0 == connection.default_channel.queue_declare("q", passive=True).message_count
    assert 1 == connection.default_channel.queue_declare("other", passive=True).message_count


def test_child_opens_a_connection_of_its_own(connect: Connect) -> None:
    """SQLite's handles must not cross a fork: the parent closes its own before, and both open new ones."""
    connection = connect()
    send(connection, "a")
    database = connection.transport.database
    openings = database.version()[0]

    def look() -> None:
        assert openings + 1 == database.version()[0]

    assert 0 == in_child(look)
    assert openings + 1 == database.version()[0]
