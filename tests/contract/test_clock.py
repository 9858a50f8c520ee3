"""The clock of MariaDB, in sessions of any time zone: applications choose their own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, select

from aiki_celery.journal.dialect import db_asked, db_now
from aiki_celery.journal.engines import system_now
from tests.harness.eventually import eventually
from tests.harness.mariadb import MariaDBServer

pytestmark = pytest.mark.mariadb

SECOND, HOUR = 1_000_000, 3600
#: Seconds from UTC, in summer and in winter.
SUMMER, WINTER = 7200, 3600
_zones = itertools.count(9_000)

SetZone = Callable[[Connection, float, int, int], None]


@pytest.fixture
def engine(mariadb_url: str) -> Iterator[Engine]:
    """The application's."""
    engine = create_engine(mariadb_url)
    yield engine
    engine.dispose()


@pytest.fixture
def set_zone(mariadb: MariaDBServer) -> Iterator[SetZone]:
    """Puts a session into a zone of its own, where the clocks are changed so many seconds from now."""
    made: list[int] = []

    def set_zone(connection: Connection, seconds: float, before: int, after: int) -> None:
        number = next(_zones)
        made.append(number)
        change = system_now() // SECOND + int(seconds)
        for statement in (
            f"INSERT INTO mysql.time_zone VALUES ({number}, 'N')",
            f"INSERT INTO mysql.time_zone_name VALUES ('Test/{number}', {number})",
            f"INSERT INTO mysql.time_zone_transition_type VALUES ({number}, 0, {before}, 0, 'A')",
            f"INSERT INTO mysql.time_zone_transition_type VALUES ({number}, 1, {after}, 1, 'B')",
            f"INSERT INTO mysql.time_zone_transition VALUES ({number}, 0, 0)",
            f"INSERT INTO mysql.time_zone_transition VALUES ({number}, {change}, 1)",
        ):
            mariadb.execute(statement)
        connection.exec_driver_sql(f"SET time_zone = 'Test/{number}'")

    yield set_zone
    for number in made:
        for table in ("time_zone", "time_zone_name", "time_zone_transition_type", "time_zone_transition"):
            mariadb.execute(f"DELETE FROM mysql.{table} WHERE Time_zone_id = {number}")


def clocks(connection: Connection) -> tuple[int, int]:
    """When the statement began, and now."""
    asked, now = connection.execute(select(db_asked(), db_now())).one()
    return asked, now


def sql(clock: Any, engine: Engine) -> str:
    """A clock as the database is asked for it."""
    return str(clock.compile(dialect=engine.dialect))


@pytest.mark.parametrize(
    ("seconds", "before", "after"),
    [
        (HOUR / 2, SUMMER, WINTER),
        (-HOUR / 2, SUMMER, WINTER),
        (-2 * HOUR, SUMMER, WINTER),
        (HOUR / 2, WINTER, SUMMER),
        (-HOUR / 2, WINTER, SUMMER),
    ],
    ids=["first-of-two", "second-of-two", "winter", "before-summer", "in-summer"],
)
def test_clock_is_right_while_the_sessions_clocks_are_changed(
    engine: Engine, set_zone: SetZone, seconds: float, before: int, after: int
) -> None:
    """An hour that comes twice, or not at all, does not count."""
    with engine.connect() as connection:
        set_zone(connection, seconds, before, after)
        earliest = system_now()
        asked, now = clocks(connection)
        assert earliest <= asked <= now <= system_now()


@pytest.mark.parametrize("moment", [1_792_888_200, 1_792_891_800])
def test_beginning_of_a_statement_is_right_in_both_of_two_equal_hours(
    engine: Engine, set_zone: SetZone, moment: int
) -> None:
    """Half an hour before the clocks are put back, and half an hour later, when they show the same."""
    with engine.connect() as connection:
        set_zone(connection, 1_792_890_000 - system_now() / SECOND, SUMMER, WINTER)
        connection.exec_driver_sql(f"SET timestamp = {moment}")
        shown = connection.exec_driver_sql("SELECT CAST(NOW() AS CHAR)").scalar()
        assert ("2026-10-25 02:30:00", moment * SECOND) == (shown, clocks(connection)[0])


def test_clock_goes_back_for_nobody_while_the_clocks_are_put_back(engine: Engine, set_zone: SetZone) -> None:
    """A statement that is under way just then is told no earlier instant than that of its beginning."""
    with engine.connect() as connection:
        set_zone(connection, 1, SUMMER, WINTER)
        earliest = system_now()
        asked, _, now = connection.exec_driver_sql(
            f"SELECT {sql(db_asked(), engine)}, SLEEP(1.2), {sql(db_now(), engine)}"
        ).one()
        assert earliest <= asked <= now <= system_now()


@pytest.mark.parametrize("zone", ["+00:00", "+05:30", "fold"])
def test_clock_goes_on_while_a_statement_waits_for_a_lock(
    engine: Engine, mariadb: MariaDBServer, set_zone: SetZone, zone: str
) -> None:
    """A claim that had to wait is stamped with the instant at which it got the row."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE waited (id INT PRIMARY KEY, asked BIGINT, now BIGINT)")
        connection.exec_driver_sql("INSERT INTO waited VALUES (1, 0, 0)")
    asked, now = sql(db_asked(), engine), sql(db_now(), engine)

    def wait(session: Any) -> None:
        session.exec_driver_sql(f"UPDATE waited SET asked = {asked}, now = {now}")
        session.commit()

    with engine.connect() as holder, engine.connect() as waiter:
        if zone == "fold":
            set_zone(waiter, -HOUR / 2, SUMMER, WINTER)
        else:
            waiter.exec_driver_sql(f"SET time_zone = '{zone}'")
        waiter.commit()
        holder.exec_driver_sql("SELECT * FROM waited FOR UPDATE").all()
        thread = threading.Thread(target=wait, args=(waiter,))
        thread.start()
        eventually(
            lambda: mariadb.execute(
                "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
            ),
            what="the statement to wait",
        )
        released = system_now()
        holder.commit()
        thread.join()
        found = holder.exec_driver_sql("SELECT asked, now FROM waited").one()
        assert found.asked < released <= found.now <= system_now()
