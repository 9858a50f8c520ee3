"""Settings: where they come from, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from aiki_celery import Aiki
from aiki_celery.errors import SettingInvalid
from aiki_celery.settings import AikiSettings, read_settings


def read(
    celery: dict[str, Any] | None = None, env: dict[str, str] | None = None, **keywords: Any
) -> AikiSettings:
    """Reads settings from three sources."""
    return read_settings(celery or {}, env or {}, keywords)


@pytest.mark.parametrize(
    ("celery", "env", "keywords", "expected"),
    [
        ({}, {}, {}, 100),
        ({"aiki_batch_size": 1}, {}, {}, 1),
        ({"aiki_batch_size": 1}, {"AIKI_BATCH_SIZE": "2"}, {}, 2),
        ({"aiki_batch_size": 1}, {"AIKI_BATCH_SIZE": "2"}, {"batch_size": 3}, 3),
        ({"aiki_batch_size": 1}, {}, {"batch_size": None}, 1),
        ({"AIKI_BATCH_SIZE": 4}, {}, {}, 4),
    ],
)
def test_settings_precedence(
    celery: dict[str, Any], env: dict[str, str], keywords: dict[str, Any], expected: int
) -> None:
    """A keyword beats the environment, which beats Celery's settings, which beat the default."""
    assert expected == read(celery, env, **keywords).batch_size


def test_settings_of_others_are_left_alone() -> None:
    """Celery's own settings and other variables are none of ours."""
    assert AikiSettings() == read({"broker_url": "redis://"}, {"HOME": "/", "AIKIDO": "x", "PATH": "/bin"})


@pytest.mark.parametrize("name", ["AIKI_HOME", "AIKI_", "AIKI_LOG_LEVEL", "AIKI_IMAGE_TAG", "AIKI_PORT"])
def test_variables_of_other_programs_are_left_alone(name: str) -> None:
    """The environment is not ours alone, whatever its variables begin with."""
    assert AikiSettings() == read(env={name: "/opt"})


def test_settings_defaults_are_the_documented_ones() -> None:
    """The table of defaults, written out."""
    expected = {
        "journal": "sqlite:///aiki.sqlite3",
        "table_prefix": "aiki_",
        "schema": None,
        "heartbeat_interval": 5.0,
        "worker_ttl": 15.0,
        "poll_interval": 1.0,
        "batch_size": 100,
        "redelivery_after": 30.0,
        "stalled_after": 86_400.0,
        "max_recoveries": 10,
        "max_hold": 600.0,
        "inline_wait": 1.0,
        "max_payload": 1_048_576,
        "max_steps": 100_000,
        "max_children": 100_000,
        "max_events": 10_000,
        "secret_key": None,
        "default_queue": None,
    }
    assert expected == AikiSettings().model_dump(by_alias=True)


def test_settings_durations_take_timedelta_and_seconds() -> None:
    """As Celery's do."""
    settings = read({"aiki_max_hold": timedelta(minutes=2)}, {"AIKI_POLL_INTERVAL": "0.25"}, inline_wait=0)
    assert (120.0, 0.25, 0.0) == (settings.max_hold, settings.poll_interval, settings.inline_wait)


@pytest.mark.parametrize(
    ("celery", "env", "keywords", "message"),
    [
        (
            {"aiki_jurnal": "x"},
            {},
            {},
            "Celery setting aiki_jurnal: there is no setting aiki_jurnal.*aiki_journal?",
        ),
        (
            {},
            {},
            {"max_step": 5},
            r"Aiki\(max_step=...\): there is no setting aiki_max_step.*aiki_max_steps?",
        ),
        (
            {},
            {"AIKI_WORKER_TLL": "30"},
            {},
            "environment variable AIKI_WORKER_TLL: there is no setting aiki_worker_tll.*aiki_worker_ttl?",
        ),
        ({"aiki_home": "/opt"}, {}, {}, "Celery setting aiki_home: there is no setting aiki_home"),
        ({}, {}, {"xyzzy": 1}, "there is no setting aiki_xyzzy. The settings are journal, table_prefix"),
        (
            {"aiki_batch_size": 0},
            {},
            {},
            "Celery setting aiki_batch_size: aiki_batch_size is 0: .*greater than",
        ),
        (
            {},
            {"AIKI_MAX_HOLD": "soon"},
            {},
            "environment variable AIKI_MAX_HOLD: aiki_max_hold is 'soon': .*number",
        ),
        ({}, {}, {"table_prefix": "Robert'); --"}, "aiki_table_prefix is .*pattern"),
        ({}, {}, {"schema": "a b"}, "aiki_schema is 'a b': .*pattern"),
        ({}, {}, {"max_hold": -1}, "aiki_max_hold is -1: .*greater than 0"),
        ({}, {}, {"redelivery_after": timedelta.max}, "aiki_redelivery_after is .*less than or equal"),
        ({}, {}, {"worker_ttl": 5}, "worker_ttl .5 s. must be at least twice heartbeat_interval .5 s."),
    ],
)
def test_settings_refusal_names_source_value_and_rule(
    celery: dict[str, Any], env: dict[str, str], keywords: dict[str, Any], message: str
) -> None:
    """An unknown or bad setting says where it came from, what it is, and what was expected."""
    with pytest.raises(SettingInvalid, match=message):
        read_settings(celery, env, keywords)


@pytest.mark.parametrize("journal", [make_url("sqlite:///aiki.sqlite3"), Path("aiki.sqlite3"), 3])
def test_journal_that_is_neither_text_nor_an_engine_is_refused(journal: Any) -> None:
    """By its name, with what is expected."""
    with pytest.raises(SettingInvalid, match=r"^journal=.*: give the database's URL as text"):
        Aiki(journal=journal)


def test_settings_are_frozen() -> None:
    """Nothing changes them once they are read."""
    with pytest.raises(ValidationError, match="frozen"):
        AikiSettings().batch_size = 5  # type: ignore[misc]


def test_secret_is_not_shown() -> None:
    """Neither in the settings' own text nor in the message about one that is too short."""
    assert "a secret of many letters" not in repr(read({}, {"AIKI_SECRET_KEY": "a secret of many letters"}))
    with pytest.raises(SettingInvalid, match="aiki_secret_key is a secret") as refused:
        read({"aiki_secret_key": "too short"}, {})
    assert "too short" not in str(refused.value).replace("String should have at least", "")
