"""Ids of runs."""

from __future__ import annotations

import time
import uuid

from aiki_celery.model.ids import new_run_id


def test_run_id_is_a_uuid_of_version_7() -> None:
    """Version and variant are those of RFC 9562, and the text is the canonical one."""
    made = uuid.UUID(new_run_id())
    assert (7, uuid.RFC_4122, True) == ((made.int >> 76) & 0xF, made.variant, str(made) == str(made).lower())


def test_run_id_begins_with_the_time() -> None:
    """The first 48 bits are the milliseconds since 1970."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_run_id()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_run_ids_differ() -> None:
    """A hundred thousand ids are a hundred thousand."""
    assert 100_000 == len({new_run_id() for _ in range(100_000)})
