"""The settings, read once, validated, frozen.

In rising precedence: the default, the Celery setting ``aiki_...`` (``CELERY_AIKI_...`` under Django's namespace), the
environment variable ``AIKI_...``, the keyword argument of :class:`~aiki_celery.Aiki`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from aiki_celery.errors import SettingInvalid

PREFIX = "aiki_"


def _to_seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


#: Longest duration, in seconds: a hundred years. Threads cannot wait for three hundred.
LONGEST = 100 * 366 * 86_400

Seconds = Annotated[float, BeforeValidator(_to_seconds), Field(gt=0, le=LONGEST, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, BeforeValidator(_to_seconds), Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Identifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=30)]


class AikiSettings(BaseModel):
    """Every setting, without its prefix. Durations are seconds (a ``timedelta`` is taken too)."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    journal: Annotated[str, Field(min_length=1)] = "sqlite:///aiki.sqlite3"
    """SQLAlchemy URL of the journal's database."""

    table_prefix: Identifier = "aiki_"
    """What the names of the journal's tables begin with."""

    schema_: Annotated[Identifier | None, Field(alias="schema")] = None
    """Database schema of the journal's tables; the connection's own where none is given."""

    heartbeat_interval: Seconds = 5.0
    """How often a worker says that it is alive."""

    worker_ttl: Seconds = 15.0
    """A worker that has not said so for this long counts as dead, and its runs are taken over."""

    poll_interval: Seconds = 1.0
    """Longest gap between two looks for timers that others have added; other sweeps take a multiple of it."""

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many runs one sweep handles at most."""

    redelivery_after: Seconds = 30.0
    """A queued run that nobody has taken is published again after this long, then after growing gaps."""

    stalled_after: Seconds = 86_400.0
    """A queued run that nobody has taken for this long is stalled."""

    max_recoveries: Annotated[int, Field(ge=1)] = 10
    """A run whose worker died this often in a row without progress is stalled."""

    max_hold: Seconds = 600.0
    """A run that has held one message this long hands itself over at its next step."""

    inline_wait: SecondsOrZero = 1.0
    """Retry delays up to this are slept in the worker; longer ones free it."""

    max_payload: Annotated[int, Field(ge=1024)] = 1_048_576
    """Largest JSON form of one value, in bytes."""

    max_steps: Annotated[int, Field(ge=1)] = 100_000
    """Most records of one run; one that goes on as new begins anew."""

    max_children: Annotated[int, Field(ge=1)] = 100_000
    """Most steps and children that one run starts; one that goes on as new begins anew."""

    max_events: Annotated[int, Field(ge=1)] = 10_000
    """Most events in the inbox of one run."""

    secret_key: Annotated[SecretStr, Field(min_length=16)] | None = None
    """Signs the tokens of ``run.callback(...)``; 16 characters or more, the same in every process."""

    default_queue: str | None = None
    """Queue of workflows that name none; Celery's own routing where this names none either."""

    @model_validator(mode="after")
    def _check_liveness(self) -> AikiSettings:
        if self.worker_ttl < 2 * self.heartbeat_interval:
            raise ValueError(
                f"worker_ttl ({self.worker_ttl:g} s) must be at least twice heartbeat_interval "
                f"({self.heartbeat_interval:g} s), or a live worker could be taken for dead"
            )
        return self


_SECRETS = frozenset({"secret_key"})

#: Public name of each setting, as users write it after the prefix.
NAMES = tuple(field.alias or name for name, field in AikiSettings.model_fields.items())


def read_settings(
    celery_settings: Mapping[str, Any], environment: Mapping[str, str], keywords: Mapping[str, Any]
) -> AikiSettings:
    """Read the settings from their sources.

    Args:
        celery_settings: Celery's configuration; keys that begin with ``aiki_`` are ours.
        environment: Environment variables; those that begin with ``AIKI_`` and name a setting are ours. Others may be
            for other programs, unless such a name is near a setting's.
        keywords: Keyword arguments of the extension, without prefix; None means not given.

    Raises:
        SettingInvalid: A setting is unknown or has a bad value; names it, where it came from, and what was expected.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in celery_settings.items():
        if isinstance(key, str) and key.lower().startswith(PREFIX):
            _take(key.lower().removeprefix(PREFIX), value, f"Celery setting {key}", values, origins)
    for key, value in environment.items():
        if key.startswith(PREFIX.upper()) and _is_meant(key.lower().removeprefix(PREFIX)):
            _take(key.lower().removeprefix(PREFIX), value, f"environment variable {key}", values, origins)
    for key, value in keywords.items():
        if value is not None:
            _take(key, value, f"Aiki({key}=...)", values, origins)
    try:
        return AikiSettings.model_validate(values)
    except ValidationError as error:
        raise SettingInvalid(_explain(error, values, origins)) from None


def check_names(keywords: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that name no setting.

    Raises:
        SettingInvalid: There is no setting of that name; says which is near it.
    """
    for key in keywords:
        _take(key, None, f"Aiki({key}=...)", {}, {})


def _take(name: str, value: Any, origin: str, values: dict[str, Any], origins: dict[str, str]) -> None:
    if name not in NAMES:
        near = _near(name)
        hint = f" Did you mean {PREFIX}{near[0]}?" if near else f" The settings are {', '.join(NAMES)}."
        raise SettingInvalid(f"{origin}: there is no setting {PREFIX}{name}.{hint}")
    values[name] = value
    origins[name] = origin


def _is_meant(name: str) -> bool:
    """Tell whether a name is a setting's, or was to be one."""
    return name in NAMES or bool(_near(name))


def _near(name: str) -> list[str]:
    return difflib.get_close_matches(name, NAMES, n=1)


def _explain(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    detail = error.errors(include_url=False)[0]
    if not detail["loc"]:
        return f"aiki settings: {detail['msg'].removeprefix('Value error, ')}"
    name = str(detail["loc"][0])
    shown = "a secret" if name in _SECRETS else repr(values.get(name))
    # Of a secret, pydantic counts items.
    is_short = name in _SECRETS and detail["type"] == "too_short"
    reason = "it must have 16 characters or more" if is_short else detail["msg"]
    return f"{origins.get(name, 'setting')}: {PREFIX}{name} is {shown}: {reason}"
