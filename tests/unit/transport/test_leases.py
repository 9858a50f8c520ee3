"""Leases run out, are renewed for the living, freed for the dead, and fence late acknowledgements."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aiki_celery.celery_binding.transport.lease import LeaseHolder, LeaseKeeper
from aiki_celery.celery_binding.transport.messages import Messages
from aiki_celery.celery_binding.transport.process_identity import is_known_dead, this_process
from tests.harness.eventually import eventually
from tests.unit.transport.conftest import Connect
from tests.unit.transport.inbox import Inbox
from tests.unit.transport.test_messages import send

Rows = Callable[..., list[Any]]
FOREIGN = "elsewhere:1:2:3/x"


def take(connect: Connect, owner: str, lease: float = 15.0) -> tuple[Messages, str]:
    """Sends one message and takes it for an owner; returns its delivery tag."""
    connection = connect()
    connection.connect()
    messages = Messages(connection.transport.database)
    send(connection, "a")
    (delivery,) = messages.take(["q"], owner, lease, limit=1)
    return messages, delivery.tag


def test_lease_that_ran_out_is_freed(connect: Connect) -> None:
    """What a silent owner holds is available when its lease has ended, and not before."""
    messages, _ = take(connect, FOREIGN, lease=0.2)
    keeper = LeaseKeeper(connect().transport.database)
    keeper.round()
    assert 0 == messages.size("q")
    eventually(lambda: (keeper.round(), messages.size("q"))[1] == 1, 2, "the lease to run out", interval=0.02)


def test_lease_of_a_dead_process_is_freed_at_once(connect: Connect) -> None:
    """A process of this machine that is gone need not be waited for."""
    module = "aiki_celery.celery_binding.transport.process_identity"
    code = f"from {module} import this_process; print(this_process())"
    dead = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    messages, _ = take(connect, f"{dead.stdout.strip()}/x", lease=3600)
    LeaseKeeper(connect().transport.database).round()
    assert 1 == messages.size("q")


def test_lease_of_a_reused_process_id_is_freed(connect: Connect) -> None:
    """The same process id with another start time is another process."""
    before = this_process().rpartition(":")[0] + ":1"
    assert is_known_dead(before)
    assert not is_known_dead(this_process())


@pytest.mark.parametrize("identity", ["elsewhere:1:1:1", "?:?:1:?", "rubbish", ""])
def test_process_elsewhere_is_not_judged(identity: str) -> None:
    """Processes of other machines or containers, and nonsense, are left to their leases."""
    assert not is_known_dead(identity)


def test_lease_is_renewed_while_nothing_is_fetched(connect: Connect) -> None:
    """A full prefetch window keeps its messages for longer than the lease."""
    connection, other = connect(lease=0.6), connect()
    send(connection, "a")
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox, Inbox(other, "q") as thief:
        inbox.drain(1)
        assert thief.nothing_comes(2.0)


def test_late_acknowledgement_does_not_touch_the_next_delivery(connect: Connect) -> None:
    """Whoever lost its lease can neither delete nor requeue what somebody else now holds."""
    messages, old = take(connect, FOREIGN)
    messages.release([old])
    (new,) = messages.take(["q"], "other", 15, limit=1)
    messages.acknowledge([old])
    messages.release([old])
    assert [] == messages.take(["q"], "third", 15, limit=1)
    messages.release([new.tag])
    assert 1 == messages.size("q")


def test_late_acknowledgement_counts_while_nobody_has_taken_the_message(connect: Connect) -> None:
    """Work that was done is not done again just because its lease ran out before it was acknowledged."""
    messages, tag = take(connect, FOREIGN)
    messages.release([tag])
    messages.acknowledge([tag])
    assert 0 == messages.size("q")


def test_set_clock_frees_nothing_that_is_alive(connect: Connect, rows: Rows) -> None:
    """After the clock was set, everybody renews before anything is freed."""
    connection = connect(lease=5)
    send(connection, "a")
    with Inbox(connection, "q", ack=False, prefetch=1) as inbox:
        inbox.drain(1)
        rows("UPDATE aiki_broker_messages SET lease_until = lease_until - 3600000000")
        keeper = connection.transport.keeper
        keeper.renew()
        LeaseKeeper(connection.transport.database).round()
        assert [(1,)] == rows("SELECT count(*) FROM aiki_broker_messages WHERE lease_owner IS NOT NULL")


def test_dropped_holder_is_not_renewed_for_ever(connect: Connect) -> None:
    """The keeper does not keep alive what nobody references."""
    connection = connect()
    connection.connect()
    keeper = LeaseKeeper(connection.transport.database)
    keeper.watch_over(LeaseHolder(15))
    assert 0 == keeper.holders


def test_acknowledgements_may_come_from_other_threads(connect: Connect, rows: Rows) -> None:
    """Sixteen threads acknowledge at once; nothing is lost and nothing is left."""
    connection = connect()
    send(connection, *range(64))
    with Inbox(connection, "q", ack=False, prefetch=64) as inbox:
        inbox.drain(64)
        threads = [
            threading.Thread(target=lambda some=some: [message.ack() for message in some])
            for some in (inbox.messages[start::16] for start in range(16))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert list(range(64)) == sorted(inbox.bodies)
    assert [(0,)] == rows("SELECT count(*) FROM aiki_broker_messages")
